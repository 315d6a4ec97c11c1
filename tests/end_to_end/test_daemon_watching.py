"""The daemon and its watches: a disk that hangs, what only was touched, what never holds still."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import textwrap
import threading
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

import pytest

from tests.helpers.daemon import eventually
from tests.helpers.mounts import Fuse, fuse
from tests.helpers.watch import offset_of_a_kernel

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.helpers.daemon import Daemon

pytestmark = [pytest.mark.slow(30), pytest.mark.timeout(600)]

_SICK = """
[daemon]
state_dir = "state"
log_format = "json"

[web]
listen = "127.0.0.1:0"

[[watch]]
name = "runs"
path = "runs"
settle = "1s"

[[watch]]
name = "sick"
path = "mount"
settle = "0.5s"
poll_interval = "0.5s"
[watch.verify]
python_path = ["code"]
builder = "reads_late:build"
read_paths = ["mount"]
"""
_BUILDER = """
    import os, time
    from pathlib import Path

    HOME = Path({home!r})

    def build():
        import keras
        Path("begun").touch()
        while not (HOME / "go").exists():
            time.sleep(0.05)
        for path in (HOME / "mount").iterdir():
            path.read_bytes()
        return keras.Sequential([keras.layers.Input((8,)), keras.layers.Dense(16, "relu"),
                                 keras.layers.Dense(2)])
"""


@pytest.fixture
def remote(tmp_path: Path) -> Iterator[Fuse]:
    """A FUSE mount at `mount` below the daemon's directory."""
    with fuse(tmp_path) as mounted:
        yield mounted


def ready(daemon: Daemon) -> bool:
    """What `/readyz` answers."""
    try:
        with urllib.request.urlopen(daemon.url + "/readyz", timeout=30) as answer:
            return bool(answer.status == 200)
    except urllib.error.HTTPError as error:
        if error.code == 503:
            return False
        raise


def test_a_disk_that_hangs_under_a_verification_holds_up_nobody_else(
    daemon: Daemon, made: Path, remote: Fuse, tmp_path: Path
) -> None:
    """One worker, and its checkpoint's disk stops to answer: the other watch gets its verdicts."""
    (tmp_path / "code").mkdir()
    code = textwrap.dedent(_BUILDER).format(home=str(tmp_path))
    (tmp_path / "code" / "reads_late.py").write_text(code)
    daemon.config.write_text(_SICK)
    daemon.start()
    assert daemon.text("/metrics").count('checkpointd_watch_up{watch="sick"} 1.0') == 1
    shutil.copy(made / "only.weights.h5", remote.mount / "only.weights.h5")
    state = daemon.home / "state"
    eventually("the child to run the builder", lambda: list(state.glob("**/begun")))
    remote.hang()
    (tmp_path / "go").touch()
    shutil.copy(made / "plain.keras", daemon.runs / "plain.keras")
    eventually(
        "the watch to be down",
        lambda: 'checkpointd_watch_up{watch="sick"} 0.0' in daemon.text("/metrics"),
    )
    assert 'checkpointd_watch_up{watch="runs"} 1.0' in daemon.text("/metrics")
    assert not ready(daemon)
    assert urllib.request.urlopen(daemon.url + "/healthz", timeout=30).status == 200
    assert any("has not responded" in problem for problem in daemon.status()["problems"])
    assert daemon.verdict(daemon.runs / "plain.keras")["verdict"] == "valid"
    remote.answer()
    entry = daemon.verdict(remote.mount / "only.weights.h5")
    assert (entry["verdict"], "loads" in entry["shown"]) == ("valid", True)
    eventually("the daemon to be ready", lambda: ready(daemon))
    events = [e["event"] for e in daemon.events() if e.get("watch") == "sick"]
    assert events.index("disk does not answer") < events.index("disk answers again")
    assert daemon.stop() == 0


def reports(daemon: Daemon, path: Path) -> int:
    """How many verdicts were logged for a path."""
    return sum(e.get("path") == str(path) and "shown" in e for e in daemon.events())


def test_what_was_only_touched_keeps_its_verdict_and_can_be_pruned(
    daemon: Daemon, made: Path
) -> None:
    """A chmod, a hard link, a copy with its times put over it: no second verification, no hold."""
    path = daemon.runs / "plain.keras"
    shutil.copy(made / "plain.keras", path)
    daemon.start()
    assert daemon.verdict(path)["verdict"] == "valid"
    before = path.stat()
    path.chmod(0o640)
    os.link(path, daemon.home / "link.keras")
    shutil.copy2(path, daemon.home / "copy.keras")
    (daemon.home / "copy.keras").rename(path)
    assert path.stat().st_ino != before.st_ino
    eventually(
        "the content to be compared",
        lambda: [e for e in daemon.events() if e.get("event") == "the same content"],
    )
    assert reports(daemon, path) == 1
    assert daemon.cli("latest", str(daemon.runs)).stdout.strip() == str(path)
    planned = daemon.cli("prune", "--json")
    assert planned.returncode == 0
    assert "changed on disk" not in planned.stdout
    assert daemon.status()["watches"][0]["holds"] == []
    assert reports(daemon, path) == 1


def test_other_content_with_the_same_size_and_time_is_verified_again(
    daemon: Daemon, made: Path
) -> None:
    """A file that is swapped and has its times put back loses its verdict."""
    path = daemon.runs / "golden.h5"
    shutil.copy(made / "golden.h5.golden.npz", daemon.runs / "golden.h5.golden.npz")
    shutil.copy(made / "golden.h5", path)
    daemon.start()
    assert daemon.verdict(path)["verdict"] == "valid"
    before = path.stat()
    data = bytearray(path.read_bytes())
    data[offset_of_a_kernel(path)] ^= 0x01
    path.write_bytes(data)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    eventually("another verdict", lambda: reports(daemon, path) == 2)
    entry = daemon.entry(path)
    assert (entry["verdict"], entry["reason"]) == ("invalid", "integrity.digest_mismatch")


_RESTLESS = """
    import os, shutil, sys, time
    source, target = sys.argv[1:]
    while True:
        shutil.copy(source, target + ".new")
        os.rename(target + ".new", target)
        time.sleep(0.02)
"""


def test_what_is_saved_over_faster_than_it_is_verified_gets_verdicts_all_the_same(
    daemon: Daemon, made: Path
) -> None:
    """Fifty saves a second over one path: a private copy holds still, and nothing is left of it."""
    path = daemon.runs / "best.keras"
    daemon.config.write_text(
        daemon.config.read_text().replace('name = "runs"', 'name = "runs"\nexclude = ["*.new"]')
    )
    daemon.start()
    code = textwrap.dedent(_RESTLESS)
    trainer = subprocess.Popen([sys.executable, "-c", code, str(made / "plain.keras"), str(path)])
    try:
        eventually("two verdicts", lambda: reports(daemon, path) >= 2 or trainer.poll() is not None)
        assert trainer.poll() is None, "no verdict while it was saved over"
    finally:
        trainer.kill()
        trainer.wait()
    assert daemon.verdict(path)["verdict"] == "valid"
    threading.Event().wait(0.2)
    assert not list((daemon.home / "state" / "scratch").glob("copy-*"))
    verdicts = [e for e in daemon.events() if e.get("path") == str(path) and "shown" in e]
    assert all(e["event"] == "valid" for e in verdicts)
    assert all(str(daemon.home / "state") not in str(e) for e in verdicts)
