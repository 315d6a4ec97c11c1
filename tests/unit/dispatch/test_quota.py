"""The disk space and threads that a child may use, and when it is killed."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checkpointd.dispatch import quota
from checkpointd.dispatch.process_monitor import PeakMemory, ProcessMonitor
from checkpointd.dispatch.quota import QuotaExceededError
from checkpointd.worker.protocol import ChildLimits

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator
    from pathlib import Path

_GIB = 1 << 30


@pytest.fixture(autouse=True)
def _measure_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quota, "_INTERVAL_SECONDS", 0.01)


def wait_with(scratch: Path, file_bytes: int) -> str:
    """Wait for a child that never ends."""
    ended = []

    async def work() -> None:
        try:
            await asyncio.sleep(1000)
        finally:
            ended.append(True)

    with pytest.raises(QuotaExceededError) as error:
        asyncio.run(quota.run_within_quota(work(), scratch, file_bytes))
    assert ended
    return str(error.value)


def test_the_result_of_a_child_is_returned(tmp_path: Path) -> None:
    """And what it raises."""

    async def gives() -> int:
        await asyncio.sleep(0.05)
        return 7

    async def raises() -> int:
        raise ValueError("mine")

    assert asyncio.run(quota.run_within_quota(gives(), tmp_path, 1)) == 7
    with pytest.raises(ValueError, match="mine"):
        asyncio.run(quota.run_within_quota(raises(), tmp_path, 1))


def test_many_files_count_together(tmp_path: Path) -> None:
    """Each of them is as small as it has to be."""
    for number in range(5):
        (tmp_path / "below" / str(number)).mkdir(parents=True)
        (tmp_path / "below" / str(number) / "file").write_bytes(os.urandom(1 << 20))
    assert 5 << 20 <= quota.disk_usage(tmp_path) < 6 << 20
    assert wait_with(tmp_path, 2 << 20) == ("it wrote more than 4.0 MiB into its scratch directory")


def test_a_sparse_file_uses_no_space(tmp_path: Path) -> None:
    """Only blocks on disk count."""
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(_GIB)
    assert quota.disk_usage(tmp_path) < 1 << 20


def test_links_are_not_followed(tmp_path: Path) -> None:
    """Neither out of the directory nor round in it."""
    outside, scratch = tmp_path / "outside", tmp_path / "scratch"
    outside.mkdir()
    scratch.mkdir()
    (outside / "file").write_bytes(bytes(1 << 20))
    (scratch / "out").symlink_to(outside)
    (scratch / "round").symlink_to(scratch)
    assert quota.disk_usage(scratch) < 1 << 19


def test_too_many_entries_to_count_exceed_the_quota(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Empty files take no bytes, and deep directories have no path that can be opened."""
    monkeypatch.setattr(quota, "_MAX_ENTRIES", 20)
    for number in range(21):
        (tmp_path / str(number)).touch()
    assert "more than 20 files" in wait_with(tmp_path, 1 << 30)
    deep = tmp_path / "0"
    deep.unlink()
    (tmp_path / "1").unlink()
    deep.joinpath(*["d"] * 50).mkdir(parents=True)
    monkeypatch.setattr(quota, "_MAX_ENTRIES", 1000)
    assert "nested more than 32" in wait_with(tmp_path, 1 << 30)


def test_a_missing_scratch_directory_ends_no_child(tmp_path: Path) -> None:
    """The child reports itself what is missing."""

    async def gives() -> int:
        await asyncio.sleep(0.05)
        return 7

    assert quota.disk_usage(tmp_path / "none") == 0
    assert asyncio.run(quota.run_within_quota(gives(), tmp_path / "none", 1)) == 7


@given(total=st.integers(1, 1 << 50), share=st.floats(0, 1))
def test_the_reserve_leaves_space_on_every_disk(total: int, share: float) -> None:
    """On a small disk, a large one, one that is always nearly full."""
    free = int(total * share)
    disk = SimpleNamespace(f_bavail=free, f_blocks=total, f_frsize=4096)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "statvfs", lambda _path: disk)
        reserve = quota.reserved_bytes("/")  # type: ignore[arg-type]
    size = total * 4096
    assert 0 <= reserve <= min(_GIB, size // 4, free * 4096 // 2)
    assert reserve >= min(_GIB // 4, size // 4, free * 4096 // 2)
    assert reserve >= min(_GIB, size // 20, free * 4096 // 2)


@pytest.mark.parametrize(
    ("at_first", "later", "ended"),
    [
        (_GIB, 1 << 20, True),
        (10 << 20, 4 << 20, True),
        (10 << 20, 6 << 20, False),
        (0, 0, False),
    ],
)
def test_a_child_is_killed_whatever_fills_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_first: int, later: int, ended: bool
) -> None:
    """But not for a disk that was as full when it began."""

    def answers() -> Iterator[tuple[int, int]]:
        yield 4 * _GIB, at_first
        while True:
            yield 4 * _GIB, later

    free = answers()
    monkeypatch.setattr(quota, "_disk", lambda _path: next(free))

    async def gives() -> int:
        await asyncio.sleep(0.2)
        return 7

    if ended:
        assert wait_with(tmp_path, 1).startswith("the disk of state_dir became nearly full")
    else:
        assert asyncio.run(quota.run_within_quota(gives(), tmp_path, 1)) == 7


def test_quotas_are_enforced_when_no_thread_can_be_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Usually they are measured in a thread."""

    async def no_thread(*_arguments: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(asyncio, "to_thread", no_thread)
    (tmp_path / "file").write_bytes(os.urandom(1 << 20))
    assert wait_with(tmp_path, 1 << 18).startswith("it wrote more than 512.0 KiB")


def test_too_many_threads_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the process that a pidfd is of."""
    monkeypatch.setattr(quota, "_MAX_THREADS", 20)
    program = (
        "import threading, time\n"
        "for _ in range(30): threading.Thread(target=time.sleep, args=(60,), daemon=True).start()\n"
        "time.sleep(60)"
    )
    for python, exceeds in ((program, True), ("import time; time.sleep(0.5)", False)):
        process = subprocess.Popen([sys.executable, "-c", python])
        status = os.open(f"/proc/{process.pid}/status", os.O_RDONLY)
        watched = ProcessMonitor([status], ChildLimits(1 << 40, 1, 1), PeakMemory())
        try:
            waiting = asyncio.to_thread(process.wait)
            if exceeds:
                with pytest.raises(QuotaExceededError, match="it started more than 20 threads"):
                    asyncio.run(
                        ended(quota.run_within_quota(waiting, tmp_path, 1, watched), process)
                    )
            else:
                assert asyncio.run(quota.run_within_quota(waiting, tmp_path, 1, watched)) == 0
        finally:
            process.kill()
            process.wait()
            os.close(status)


async def ended(waiting: Coroutine[Any, Any, int], process: subprocess.Popen[bytes]) -> int:
    """Wait, then kill the process, so that the thread that waits for it ends."""
    try:
        return await waiting
    finally:
        process.kill()
