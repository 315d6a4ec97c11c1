"""Archives and HDF5 files as Keras reads them, written otherwise than Keras writes them.

The real loaders are the oracle: each is verified by one `checkpointd verify`, which loads it.
"""

from __future__ import annotations

import io
import json
import os
import zipfile
from typing import TYPE_CHECKING, Any

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf

from checkpointd.formats.table import read_table
from tests.helpers.bundles import table
from tests.helpers.cli import checkpointd

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Members = dict[str, bytes]


def zipped(members: Members, method: int = zipfile.ZIP_STORED, comment: bytes = b"") -> bytes:
    """Make an archive."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", method) as file:
        for name, content in members.items():
            file.writestr(name, content)
        file.comment = comment
    return data.getvalue()


ARCHIVES: dict[str, Callable[[Members], bytes]] = {
    "bzip2": lambda m: zipped(m, zipfile.ZIP_BZIP2),
    "lzma": lambda m: zipped(m, zipfile.ZIP_LZMA),
    "long_comment": lambda m: zipped(m, comment=b"c" * 65_535),
    "behind_a_stub": lambda m: b"#!/bin/sh\nexit\n" * 20 + zipped(m),
    "signed": lambda m: zipped(m) + b"-- a signature --",
    "no_metadata": lambda m: zipped({n: d for n, d in m.items() if n != "metadata.json"}),
    "directories": lambda m: zipped({"assets/": b"", "__MACOSX/._x": b"", "a\\b.txt": b"", **m}),
}


def copied(source: Path, target: Path, **options: Any) -> None:
    """Write an HDF5 file again with other options of the library."""
    with h5py.File(source) as old, h5py.File(target, "w", **options) as new:
        for name in old:
            old.copy(name, new)
        for name, value in old.attrs.items():
            new.attrs[name] = value


def packed(source: Path, target: Path, **options: Any) -> None:
    """Write an HDF5 file again with every dataset packed or laid out in another way."""
    copied(source, target)
    with h5py.File(target, "r+") as file:
        names: list[str] = []
        file.visititems(lambda n, o: names.append(n) if isinstance(o, h5py.Dataset) else None)
        for name in names:
            values, attributes = file[name][()], dict(file[name].attrs)
            if not values.shape or values.dtype.kind != "f":
                continue
            del file[name]
            file.create_dataset(name, data=values, **options).attrs.update(attributes)


def appended(data: bytes) -> Callable[[Path, Path], None]:
    """Make what copies a file with something after its end."""
    return lambda source, target: [target.write_bytes(source.read_bytes() + data), None][1]


FILES: dict[str, Callable[[Path, Path], None]] = {
    "user_block": lambda s, t: copied(s, t, userblock_size=512),
    "latest": lambda s, t: copied(s, t, libver="latest"),
    "version_2": lambda s, t: copied(s, t, libver=("v108", "v108")),
    "paged": lambda s, t: copied(s, t, fs_strategy="page", fs_persist=True),
    "behind_512_bytes": lambda s, t: [t.write_bytes(b"x" * 512 + s.read_bytes()), None][1],
    "gzip": lambda s, t: packed(s, t, compression="gzip", shuffle=True, fletcher32=True),
    "lzf": lambda s, t: packed(s, t, compression="lzf"),
    "big_endian": lambda s, t: packed(s, t, dtype=">f4"),
    "padded": appended(bytes(5000)),
}


@pytest.fixture(scope="module")
def model() -> keras.Model:
    """Give a model of two layers."""
    keras.utils.set_random_seed(1)
    return keras.Sequential(
        [keras.layers.Input((3,)), keras.layers.Dense(40, name="a"), keras.layers.Dense(2)]
    )


def verified(home: Path, *paths: Path) -> dict[str, dict[str, Any]]:
    """Verify paths by one command; the reports by name."""
    done = checkpointd("verify", "--json", *map(str, paths), home=home)
    reports = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(reports) == len(paths), done.stderr
    return {os.path.basename(r["path"]): r for r in reports}


def test_what_keras_reads_whole_is_valid(model: keras.Model, tmp_path: Path) -> None:
    """Whatever packed the archive, and whatever version and options of HDF5 wrote the file."""
    model.save(tmp_path / "plain.keras")
    with zipfile.ZipFile(tmp_path / "plain.keras") as file:
        members = {name: file.read(name) for name in file.namelist()}
    for name, make in ARCHIVES.items():
        (tmp_path / f"{name}.keras").write_bytes(make(members))
    model.save(tmp_path / "plain.h5")
    model.save_weights(tmp_path / "plain.weights.h5")
    for name, write in FILES.items():
        write(tmp_path / "plain.weights.h5", tmp_path / f"{name}.weights.h5")
    for name in ("user_block", "latest", "gzip", "padded"):
        FILES[name](tmp_path / "plain.h5", tmp_path / f"{name}.h5")
    paths = sorted(p for p in tmp_path.iterdir() if p.suffix in (".keras", ".h5"))
    reports = verified(tmp_path, *paths)
    assert {n: r["reason"] for n, r in reports.items() if r["verdict"] != "valid"} == {}
    for name, report in reports.items():
        loaded = () if name.endswith(".weights.h5") else ("loads", "runs")
        assert set(report["shown"]) == {"intact", *loaded}, name
        assert report["checks"][0]["details"]["tensors"] >= 4, name


def test_names_of_layers_that_fill_several_attributes_are_read(tmp_path: Path) -> None:
    """Keras splits a list of more than 64 KiB; `layer_names0` marks weights like `layer_names`."""
    with h5py.File(tmp_path / "m.weights.h5", "w") as file:
        names = [f"a_layer_with_a_long_name_{i:06d}" for i in range(3000)]
        for part in range(2):
            file.attrs[f"layer_names{part}"] = np.array(names[part::2], "S")
        for name in names:  # as Keras does, also for what has no weights
            file.create_group(name)
        file[f"{names[0]}/kernel:0"] = np.ones((2, 2), "f4")
    (report,) = verified(tmp_path, tmp_path / "m.weights.h5").values()
    assert report["verdict"] == "valid"
    assert report["checks"][0]["details"]["tensors"] == 1


def test_what_is_not_read_here_is_for_the_loader_to_judge(
    model: keras.Model, tmp_path: Path
) -> None:
    """Intact is not shown, and neither the file nor its writer is blamed.

    A name of 70 000 bytes in an index, and bytes after an HDF5 file's end that may be a part of it.
    """
    tf.saved_model.save(model, str(tmp_path / "m"))
    index = tmp_path / "m/variables/variables.index"
    pairs = dict(read_table(str(index)))
    first = next(value for key, value in pairs.items() if key.endswith(b"VARIABLE_VALUE"))
    index.write_bytes(table([*pairs.items(), (b"~" * 70_000, first)]))
    (tmp_path / "m/fingerprint.pb").unlink()
    model.save(tmp_path / "plain.h5")
    appended(b"more than the file knows of")(tmp_path / "plain.h5", tmp_path / "longer.h5")
    for name, report in verified(tmp_path, tmp_path / "m", tmp_path / "longer.h5").items():
        verdict = (report["verdict"], report["reason"])
        assert verdict == ("inconclusive", "integrity.not_readable"), name
        assert set(report["shown"]) >= {"loads", "runs"}, name
