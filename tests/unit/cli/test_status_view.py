"""What `status` says first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from checkpointd.cli.status_view import show_status

if TYPE_CHECKING:
    import pytest


def test_status_says_how_many_are_bad_and_how_to_list_them(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Over all watches; where all is good there is no such line."""
    watches = [
        {"name": "a", "counts": {"valid": 3, "invalid": 1}},
        {"name": "b", "counts": {"invalid": 1, "inconclusive": 4}},
    ]
    show_status({"healthy": True, "ready": True, "watches": watches})
    told = capsys.readouterr().out
    command = "checkpointd list --state invalid --state inconclusive"
    assert f"2 invalid, 4 inconclusive: `{command}` lists them" in told
    assert told.index("2 invalid") < told.index("watch a")
    worker = {"kind": "load", "up": True, "pid": 7, "memory_bytes": 3 << 30}
    watches = [{"counts": {"valid": 3}}]
    show_status({"healthy": True, "ready": True, "watches": watches, "workers": [worker]})
    told = capsys.readouterr().out
    assert "list --state" not in told
    assert "pid 7, idle, may hold 3.0 GiB" in told
