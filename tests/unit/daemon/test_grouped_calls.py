"""Several threads write to the ledger in one transaction, and each learns what came of it."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

from checkpointd.daemon.ledger_records import LedgerRecords
from checkpointd.daemon.threads import LedgerThread
from checkpointd.ledger import Ledger, LedgerError, State
from tests.helpers.ledger import WRITERS, record_verdict

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

COUNT = 4


def record_together(tmp_path: Path) -> list[str]:
    """Record removals in as many threads, while the ledger's is busy; what each has met."""
    ledger = Ledger.open(tmp_path)
    for number in range(COUNT):
        record_verdict(ledger, WRITERS["file"](tmp_path / f"m-{number}.h5", 1000.0 + number))
    ledger.close()
    outcomes: list[str] = []

    async def main() -> None:
        thread = LedgerThread()
        await thread.open(tmp_path)
        records, busy = LedgerRecords(thread), threading.Event()

        def record(number: int) -> None:
            path = str(tmp_path / f"m-{number}.h5")
            try:
                records.record_trashed(path, rule="unclaimed", reason="old", item=f"i{number}")
            except LedgerError as error:
                outcomes.append(str(error))
            else:
                outcomes.append("")

        blocked = asyncio.ensure_future(thread(lambda _: busy.wait(60)))
        await asyncio.sleep(0)
        threads = [threading.Thread(target=record, args=(number,)) for number in range(COUNT)]
        for one in threads:
            one.start()
        trashed = records._trashed
        while trashed._open is None or len(trashed._open.items) < COUNT:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
        busy.set()
        await blocked
        for one in threads:
            await asyncio.to_thread(one.join)
        await asyncio.to_thread(record, 0)  # and another alone
        await thread.close()

    asyncio.run(main())
    return outcomes


def states(tmp_path: Path) -> set[State]:
    """The states in the ledger."""
    ledger = Ledger.open(tmp_path)
    found = {
        entry.state
        for number in range(COUNT)
        if (entry := ledger.entry(str(tmp_path / f"m-{number}.h5"))) is not None
    }
    ledger.close()
    return found


def test_what_waits_for_the_ledger_is_one_transaction(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is recorded when its call returns."""
    calls: list[int] = []
    write = Ledger.record_all_trashed

    def counted(ledger: Ledger, moved: list[object]) -> None:
        calls.append(len(moved))
        write(ledger, moved)  # type: ignore[arg-type]  # counted only

    monkeypatch.setattr(Ledger, "record_all_trashed", counted)
    assert record_together(tmp_path) == [""] * (COUNT + 1)
    assert sum(calls) == COUNT + 1
    assert len(calls) == 2
    assert states(tmp_path) == {State.TRASHED}


def test_what_fails_fails_for_all_of_them_and_not_for_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of a transaction that failed is recorded."""
    write = Ledger.record_all_trashed

    def failing(ledger: Ledger, moved: list[object]) -> None:
        if len(moved) > 1:
            raise LedgerError("the disk is full")
        write(ledger, moved)  # type: ignore[arg-type]

    monkeypatch.setattr(Ledger, "record_all_trashed", failing)
    assert record_together(tmp_path) == ["the disk is full"] * COUNT + [""]
    assert states(tmp_path) == {State.TRASHED, State.VALID}
