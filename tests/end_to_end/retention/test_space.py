"""The trash gives way to the next saves at once, whether or not there are verdicts."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from typing import TYPE_CHECKING

import h5py
import numpy as np
import pytest

from tests.helpers.daemon import eventually
from tests.helpers.scene import HEAD, NEVER_ASK, SCAN_ONLY

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.helpers.daemon import Daemon

_MIB = 1 << 20
_WATCH = f"""
[[watch]]
name = "runs"
path = "runs"
settle = "100ms"

[watch.verify]
{SCAN_ONLY}

[watch.retention]
mode = "enforce"
min_age = "1ms"
keep_last = 2
{NEVER_ASK}
"""


@pytest.fixture
def small_disk(daemon: Daemon) -> Iterator[Path]:
    """The watched directory on a file system of its own, of 24 MiB."""
    command = ["mount", "-t", "tmpfs", "-o", "size=24m,mode=0755", "tmpfs", str(daemon.runs)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("only root can mount: the full disk is NOT tried here")
    yield daemon.runs
    if daemon.process is not None:
        daemon.stop(signal.SIGKILL)
    subprocess.run(["umount", "-l", str(daemon.runs)], check=True)


def test_the_trash_gives_way_without_waiting_for_a_verdict(
    daemon: Daemon, small_disk: Path, tmp_path: Path
) -> None:
    """Another program fills the disk: the oldest in the trash go long before the next round."""
    template = tmp_path / "two_mib.weights.h5"
    with h5py.File(template, "w") as file:
        file["layers/dense/vars/0"] = np.ones(2 * _MIB // 4, "float32")
    daemon.config.write_text(HEAD + _WATCH)
    daemon.start()
    paths = [small_disk / f"epoch_{number}.weights.h5" for number in range(5)]
    for path in paths:
        shutil.copyfile(template, path)
        daemon.verdict(path)
    eventually("three to be pruned", lambda: not any(path.exists() for path in paths[:3]))

    def trashed() -> int:
        return len(daemon.cli("trash", "list", "--json").stdout.splitlines())

    assert trashed() == 3
    with (small_disk / "other.bin").open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(small_disk).free - _MIB)
    eventually("the trash to give way", lambda: trashed() < 2)
    assert all(path.exists() for path in paths[3:])
