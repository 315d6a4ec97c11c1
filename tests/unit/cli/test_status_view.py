"""What `status` prints first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from checkpointd.cli.status_view import show_status
from checkpointd.observe.status import (
    DaemonStatus,
    FilesystemStatus,
    WatchStatus,
    WorkerStatus,
)

if TYPE_CHECKING:
    import pytest


def test_status_says_how_many_are_bad_and_how_to_list_them(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Over all watches; where all is good there is no such line."""
    watches = (
        WatchStatus("a", counts={"valid": 3, "invalid": 1}),
        WatchStatus("b", counts={"invalid": 1, "inconclusive": 4}),
    )
    show_status(DaemonStatus(healthy=True, ready=True, watches=watches))
    printed = capsys.readouterr().out
    command = "checkpointd list --state invalid --state inconclusive"
    assert f"2 invalid, 4 inconclusive: `{command}` lists them" in printed
    assert printed.index("2 invalid") < printed.index("watch a")
    worker = WorkerStatus("load", up=True, pid=7, memory_bytes=3 << 30)
    watches = (WatchStatus(counts={"valid": 3}),)
    show_status(DaemonStatus(healthy=True, ready=True, watches=watches, workers=(worker,)))
    printed = capsys.readouterr().out
    assert "list --state" not in printed
    assert "pid 7, idle, memory limit 3.0 GiB" in printed


def test_status_says_where_the_next_saves_may_not_fit(capsys: pytest.CaptureFixture[str]) -> None:
    """Also of a dry run. What was pruned need not be in the trash any more."""
    tight = FilesystemStatus(device="0:7", size_bytes=64 << 20, next_saves_fit=False)
    watch = WatchStatus(
        "a",
        counts={"valid": 2, "trashed": 9},
        filesystem_avail_bytes=0,
        trash_bytes=0,
        filesystem=tight,
    )
    show_status(DaemonStatus(healthy=True, ready=True, watches=(watch,)))
    printed = capsys.readouterr().out
    assert "2 valid, 9 pruned" in printed
    assert "0 B in the trash, 0 B free: too little for the next saves" in printed
