"""The user's commands: what they are given, when they are tried again, and what is left of them."""

from __future__ import annotations

import asyncio
import json
import os
import time
from typing import TYPE_CHECKING, Any

import pytest

from checkpointd.daemon.hook_command import end_hooks, result_of, run_hook
from checkpointd.daemon.hooks import is_given_up, retry_delay
from checkpointd.ledger import HookEvent

if TYPE_CHECKING:
    from pathlib import Path

EVENT = HookEvent(
    id=7,
    watch="w",
    event="on_verdict",
    path="/w/ckpt-3",
    payload={"path": "/w/ckpt-3", "verdict": "invalid", "step": 3, "hook_id": "abc-7"},
    queued_at=0.0,
    attempts=2,
)
_ESCAPES = (
    "sleep 3600 &",
    "(setsid sleep 3600 &)",
    "python3 -c 'import os,time; os.fork() or os.setsid() or os.fork() or time.sleep(3600)' &",
)


def run(*command: str, limit: float = 30.0) -> Any:
    """Run a hook and end what it has left."""

    async def both() -> Any:
        try:
            return await run_hook(command, EVENT, limit)
        finally:
            await end_hooks()

    return asyncio.run(both())


def is_alive(marker: str) -> bool:
    """Whether a process has this in its environment."""
    for pid in os.listdir("/proc"):
        try:
            with open(f"/proc/{pid}/environ", "rb") as variables:
                if marker.encode() in variables.read():
                    return True
        except OSError:
            continue
    return False


def test_a_hook_is_given_the_event_on_standard_input_and_in_its_environment(
    tmp_path: Path,
) -> None:
    """JSON for a program, variables for a line of shell."""
    script = f"cat > {tmp_path}/stdin; env > {tmp_path}/environment"
    assert run("/bin/sh", "-c", script).outcome == "ok"
    assert json.loads((tmp_path / "stdin").read_text()) == EVENT.payload
    lines = set((tmp_path / "environment").read_text().splitlines())
    assert lines >= {
        "CHECKPOINTD_EVENT=on_verdict",
        "CHECKPOINTD_WATCH=w",
        "CHECKPOINTD_PATH=/w/ckpt-3",
        "CHECKPOINTD_VERDICT=invalid",
        "CHECKPOINTD_STEP=3",
        "CHECKPOINTD_REASON=",
        "CHECKPOINTD_ATTEMPT=3",
        "CHECKPOINTD_HOOK_ID=abc-7",
    }


@pytest.mark.parametrize(
    ("command", "outcome", "error"),
    [
        (("/nothing/there",), "failed", "it cannot be started: No such file or directory"),
        (("/etc/passwd",), "failed", "it cannot be started: Permission denied"),
        (("/bin/sh", "-c", "echo no route >&2; exit 3"), "failed", "it ended with 3, 'no route'"),
        (("/bin/sh", "-c", "kill -9 $$"), "failed", "it was killed by SIGKILL"),
        (("/bin/true",), "ok", ""),
    ],
)
def test_what_came_of_it_is_one_clause(command: tuple[str, ...], outcome: str, error: str) -> None:
    """With the last line that it printed."""
    result = run(*command)
    assert (result.outcome, result.error) == (outcome, error)
    assert result_of(b"", 1.0).outcome == "failed"


@pytest.mark.parametrize("escape", _ESCAPES)
def test_nothing_of_a_hook_outlives_its_time(monkeypatch: pytest.MonkeyPatch, escape: str) -> None:
    """Not in the background, not in a session of its own, not after a second fork."""
    marker = f"HOOK_TEST={time.monotonic_ns()}"
    monkeypatch.setenv(*marker.split("="))
    result = run("/bin/sh", "-c", f"{escape}\nsleep 3600", limit=0.5)
    assert result.outcome == "timeout"
    assert not is_alive(marker)


def test_what_a_hook_leaves_in_the_background_holds_up_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It has succeeded; what it left ends with its time, or with the daemon."""
    marker = f"HOOK_TEST={time.monotonic_ns()}"
    monkeypatch.setenv(*marker.split("="))
    began = time.monotonic()
    assert run("/bin/sh", "-c", "(setsid sleep 3600 &)", limit=600.0).outcome == "ok"
    assert time.monotonic() - began < 60
    assert not is_alive(marker)


def test_attempts_are_further_and_further_apart_and_end_after_a_day() -> None:
    """A hook that fails all the time is run once an hour for one event."""
    assert [retry_delay(n) for n in (1, 2, 3, 9, 99)] == [10.0, 20.0, 40.0, 2560.0, 3600.0]
    assert not is_given_up(9, 10 * 86400.0)
    assert not is_given_up(50, 86399.0)
    assert is_given_up(10, 86400.0)
