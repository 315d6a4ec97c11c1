"""Children that take what no limit bounds, a disk or threads: each is ended, and all is free."""

from __future__ import annotations

import asyncio
import os
import subprocess
import textwrap
from typing import TYPE_CHECKING

import pytest

from checkpointd.config import WorkerSettings
from checkpointd.core.verdict import Verdict
from checkpointd.dispatch.local import LocalDispatcher
from tests.helpers.scan import request_for, write_weights

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from checkpointd.core.report import Report

_GLUTTONS = """
    import mmap, os, threading, time

    CHUNK = b"x" * (8 << 20)
    kept = []

    def good():
        import keras
        return keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(3)])

    def spills():
        with open("one", "wb") as file:
            file.write(CHUNK)
        return good()

    def many_files():
        for number in range(1000):
            with open(f"file-{number}", "wb") as file:
                file.write(CHUNK)
            time.sleep(0.04)

    def far_below():
        for number in range(1000):
            os.mkdir("d")
            os.chdir("d")
            with open("file", "wb") as file:
                file.write(CHUNK)
            time.sleep(0.04)

    def without_names():
        for number in range(1000):
            kept.append(open("file", "wb"))
            kept[-1].write(CHUNK)
            os.unlink("file")
            time.sleep(0.04)

    def only_mapped():
        for number in range(1000):
            with open("file", "wb+") as file:
                file.write(CHUNK)
                file.flush()
                kept.append(mmap.mmap(file.fileno(), 0))
            os.unlink("file")
            time.sleep(0.04)

    def threads():
        threading.stack_size(32768)
        for number in range(1_000_000):
            threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()

    def no_bytes():
        for number in range(1_000_000):
            open(f"file-{number}", "wb").close()
        time.sleep(1000)
"""
_ENDED = {
    "many_files": "The worker was killed: it wrote more than 128.",
    "far_below": "The worker was killed: it ",
    "without_names": "The worker was killed: the disk of state_dir became nearly full",
    "only_mapped": "The worker was killed: the disk of state_dir became nearly full",
    "threads": "The worker was killed: it started more than 4096 threads",
    "no_bytes": "The worker was killed: it made more than 10000 files",
}


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 768 MiB, which is memory."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = ["mount", "-t", "tmpfs", "-o", "size=768m", "tmpfs", str(place)]
    if subprocess.run(mounted, check=False, capture_output=True).returncode:
        pytest.skip("this user may not mount")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_child_that_fills_the_disk_is_killed_and_the_next_checkpoint_is_verified(
    tmp_path: Path, disk: Path
) -> None:
    """With files, many, far below, nameless, mapped, or with nothing in them; or with threads."""
    (tmp_path / "gluttons.py").write_text(textwrap.dedent(_GLUTTONS))
    path = tmp_path / "m.weights.h5"
    write_weights(path, {"dense": [[1.0] * 3] * 4})
    import h5py

    with h5py.File(path, "r+") as file:
        file["layers/dense/vars"].create_dataset("1", data=[0.0] * 3, dtype="float32")
    exits: list[str] = []

    async def work() -> dict[str, Report]:
        dispatcher = LocalDispatcher(
            WorkerSettings(timeout=60.0), disk, lambda cause, _memory: exits.append(cause)
        )
        found = {}
        try:
            for name in ("spills", *_ENDED):
                for builder in (name, "good"):
                    answer = await dispatcher.verify(
                        request_for(
                            path, builder=f"gluttons:{builder}", python_path=(str(tmp_path),)
                        )
                    )
                    assert answer.report is not None, answer
                    found[builder] = answer.report
                    assert _free(disk) > 700 << 20, (builder, answer.report.message)
                assert found["good"].verdict is Verdict.VALID, (name, found["good"].message)
        finally:
            await dispatcher.close()
        return found

    found = asyncio.run(work())
    assert found["spills"].verdict is Verdict.VALID
    for name, told in _ENDED.items():
        report = found[name]
        assert (report.verdict, report.reason) == (Verdict.INCONCLUSIVE, "load.environment"), (
            name,
            report.message,
        )
        assert told in report.message
    assert exits.count("quota_exceeded") == len(_ENDED)
    assert not [name for name in os.listdir(disk) if name.startswith(("scan-", "load-"))]


def _free(place: Path) -> int:
    disk = os.statvfs(place)
    return disk.f_bavail * disk.f_frsize
