"""What `status` prints first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from checkpointd.cli.status_view import show_status
from checkpointd.observe.status import DaemonStatus, WatchStatus, WorkerStatus

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
