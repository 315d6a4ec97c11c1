"""What `tests.helpers.reasons_job` left, spoiled byte by byte, and user code that misbehaves."""

from __future__ import annotations

import json
import shutil
import sysconfig
import venv
import zipfile
from pathlib import Path

import h5py

from tests.helpers import graphs
from tests.helpers.bundles import table
from tests.helpers.corpus import change
from tests.helpers.protobuf import field
from tests.helpers.watch import offset_of_a_kernel

USER_CODE = """
import os, signal, time

def build():
    import keras
    layers = keras.layers
    return keras.Sequential([layers.Input((3,)), layers.Dense(5), layers.Dense(2)])

def segfault():
    os.kill(os.getpid(), signal.SIGSEGV)

def greedy():
    hoard = []
    while True:
        hoard.append(bytearray(64 * 1024 * 1024))

def sleeps():
    time.sleep(1000)

def score(model):
    return {"accuracy": float(model.weights[-1].numpy().mean())}

def raises(model):
    raise ValueError("no data here")
"""


def spoil(home: Path) -> None:
    """Spoil copies of what the job saved below `home`, as disks, copies and people do."""
    plain = home / "plain"
    good = (plain / "good.keras").read_bytes()
    (plain / "misnamed.h5").write_bytes(good)
    (plain / "truncated.keras").write_bytes(good[: len(good) // 2])
    for ending in (".index", ".data-00000-of-00001"):
        shutil.copy(plain / f"ckpt-1{ending}", plain / f"flipped-1{ending}")
    change(plain / "flipped-1.data-00000-of-00001", lambda data: _flip(data, 8))
    (plain / "ckpt-1.data-00000-of-00001").unlink()
    shutil.copytree(plain / "export", plain / "malformed")
    (plain / "malformed" / "saved_model.pb").write_bytes(b"\xff" * 100)
    (plain / "page.keras").write_text("<html><body>Quota exceeded</body></html>")
    (plain / "old.ckpt-7").write_bytes(table([(b"", b"")]))
    shutil.copytree(plain / "export", plain / "mixed")
    shutil.rmtree(plain / "mixed" / "variables")
    shutil.copytree(plain / "export_other" / "variables", plain / "mixed" / "variables")
    shutil.copytree(plain / "export", plain / "writes")
    (plain / "writes" / "fingerprint.pb").unlink()
    with (plain / "writes" / "saved_model.pb").open("ab") as file:
        nodes = (graphs.text("c", "/nonexistent/file"), graphs.node("y", "WriteFile", "c", "c"))
        runs = [graphs.outputs("serving_default", "y:0")]
        file.write(field(2, graphs.meta_graph(*nodes, signatures=runs)))
    change(plain / "digest.h5", lambda data: _flip(data, offset_of_a_kernel(plain / "digest.h5")))
    shutil.copy(plain / "mismatch.keras.golden.npz", plain / "unbound.keras.golden.npz")
    _reconfigured(plain, "load_error.keras", b'"units": 2', b'"units": 7')
    call = {"class_name": "function", "module": "os", "config": "system", "registered_name": None}
    _reconfigured(plain, "code.keras", b'"linear"', json.dumps(call).encode())
    _reconfigured(plain, "traversal.keras", b'"name": "dense', b'"name": "../../dense')
    shutil.copy(plain / "first.h5", plain / "foreign.h5")
    shutil.copy(home / "weights.weights.h5", plain / "bomb.weights.h5")
    with h5py.File(plain / "foreign.h5", "r+") as file:
        file["model_weights/more"] = h5py.ExternalLink("/etc/elsewhere.h5", "/")
    with h5py.File(plain / "bomb.weights.h5", "r+") as file:
        file.create_dataset("layers/more/vars/0", (1 << 40,), "f4")


def _flip(data: bytearray, at: int) -> None:
    data[at] ^= 0x10


def _reconfigured(plain: Path, name: str, old: bytes, new: bytes) -> None:
    """Write the good archive with another configuration."""
    with zipfile.ZipFile(plain / "good.keras") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    changed = members["config.json"].replace(old, new)
    assert changed != members["config.json"]
    members["config.json"] = changed
    with zipfile.ZipFile(plain / name, "w") as archive:
        for member, data in members.items():
            archive.writestr(member, data)


def without_tf_keras(home: Path) -> Path:
    """Make an interpreter with everything that this one has, but for tf-keras."""
    venv.create(home, with_pip=False)
    site = next((home / "lib").glob("python3*")) / "site-packages"
    for path in Path(sysconfig.get_path("purelib")).iterdir():
        if not path.name.startswith("tf_keras") and not (site / path.name).exists():
            (site / path.name).symlink_to(path)
    return home / "bin" / "python"


def config(home: Path, timeout: str = "5m", **watches: str) -> Path:
    """Write a config; each watch is a directory of its name, with lines for [watch.verify]."""
    lines = ["[daemon]", "state_dir = 'state'", "[worker]", f"timeout = {timeout!r}"]
    lines += ["memory = '2GiB'"]  # of which one takes all
    for name, verify in watches.items():
        lines += ["[[watch]]", f"name = {name!r}", f"path = {name!r}", "[watch.verify]"]
        lines += [f"python_path = [{json.dumps(str(home))}]", verify]
    path = home / f"config_{len(watches)}.toml"
    path.write_text("\n".join(lines) + "\n")
    return path
