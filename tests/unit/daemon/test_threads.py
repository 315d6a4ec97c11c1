"""The thread in which the daemon uses the ledger."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from checkpointd.daemon.threads import LedgerThread

if TYPE_CHECKING:
    from pathlib import Path


def opened(state_dir: Path) -> list[str]:
    """Open and close a ledger; what was logged."""

    async def main() -> None:
        ledger = LedgerThread()
        (await ledger.open(state_dir)).close()

    with structlog.testing.capture_logs() as logged:
        asyncio.run(main())
    return [f"{line['log_level']}: {line['event']}" for line in logged]


def test_a_ledger_that_replaces_a_broken_one_is_logged(tmp_path: Path) -> None:
    """All verdicts and the history are gone: the journal must name the time when that happened."""
    assert opened(tmp_path) == []
    (tmp_path / "ledger.sqlite").write_bytes(b"not a database" * 1000)
    (line,) = opened(tmp_path)
    assert line.startswith("warning: the ledger was lost or broken, a new one was created")
    assert opened(tmp_path) == []
