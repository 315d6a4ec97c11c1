"""What `status` prints first."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from checkpointd.cli.status_view import show_status
from checkpointd.observe.replication_status import ReplicationStatus
from checkpointd.observe.status import (
    DaemonStatus,
    FilesystemStatus,
    QueueStatus,
    VerdictStatus,
    WatchStatus,
    WorkerStatus,
)

if TYPE_CHECKING:
    import pytest


def test_status_names_what_is_bad_now_and_counts_what_was(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """An old NaN that a valid one has followed needs nobody; where all is good there is no line."""
    watches = (
        WatchStatus("a", counts={"valid": 3, "invalid": 1}),
        WatchStatus("b", counts={"invalid": 1, "inconclusive": 4}),
    )
    bad = VerdictStatus(path="/r/ckpt-7", verdict="invalid", reason="finite.nan")
    state = DaemonStatus(healthy=True, ready=True, watches=watches)
    command = "checkpointd list --state invalid --state inconclusive"
    show_status(replace(state, attention=(bad,)))
    printed = capsys.readouterr().out
    assert "attention  invalid: /r/ckpt-7  finite.nan" in printed
    assert f"2 invalid, 4 inconclusive: `{command}` lists them" in printed
    assert printed.index("2 invalid") < printed.index("watch a")
    show_status(state)
    printed = capsys.readouterr().out
    assert "attention" not in printed
    assert f"earlier  2 invalid, 4 inconclusive: `{command}` lists them" in printed
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


def test_status_names_the_series_that_have_stopped_saving(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A job that was killed shows in nothing else."""
    series = [
        {
            "watch": "a",
            "series": f"ckpt{n}-{{}}",
            "is_quiet": n > 0,
            "newest": {"saved_at": time.time() - 720},
            "usual_interval": 40.0,
        }
        for n in range(8)
    ]
    show_status(DaemonStatus(healthy=True, ready=True), series)
    printed = capsys.readouterr().out
    assert "ckpt0" not in printed
    assert (
        "attention  a / ckpt1-{} has stopped saving: the last save was 12 min ago, before that "
        "one came every 40 s\n" in printed
    )
    assert "2 more series have stopped saving" in printed


def test_status_shows_that_duty_cycle_lets_checkpoints_wait(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """With the time until when, so that nobody looks for another cause."""
    queue = QueueStatus(2, None, 1_700_000_000.0)
    show_status(DaemonStatus(healthy=True, ready=True, queue=queue))
    printed = " ".join(capsys.readouterr().out.split())
    assert "2 waiting; duty_cycle lets a worker rest until 2023-11-14" in printed


def test_copies_that_wait_are_shown_with_the_cause(capsys: pytest.CaptureFixture[str]) -> None:
    """Where to, how many, since when; nothing is said of a watch that is not copied."""
    to, since = "s3://backups/runs", time.time() - 7200
    late = ReplicationStatus(to, 3, 5 << 30, since, "/r/ckpt-9", "The store does not answer.")
    watches = (
        WatchStatus("a", replication=late),
        WatchStatus("b", replication=ReplicationStatus(f"{to}/b")),
        WatchStatus("c"),
    )
    show_status(DaemonStatus(healthy=True, ready=True, watches=watches))
    printed = " ".join(capsys.readouterr().out.split())
    assert f"3 wait for {to}, 5.0 GiB, the first since 2 h ago; now: /r/ckpt-9" in printed
    assert "The store does not answer." in printed
    assert f"all valid ones are in {to}/b" in printed
    assert printed.count("copies ") == 2
