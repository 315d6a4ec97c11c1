"""What a ledger of an older version lacks is added while the daemon works."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from checkpointd.daemon.changes import ChangeFeed
from checkpointd.daemon.ledger_upgrade import LedgerUpgrade
from checkpointd.ledger import Change, ChangeKind

if TYPE_CHECKING:
    from checkpointd.daemon.threads import LedgerThread


def test_what_waits_for_the_upgrade_is_notified_when_it_is_done() -> None:
    """Every watch is planned at once, not with the round a minute later."""
    left, seen = [500, 200, 7], list[tuple[Change, bool]]()

    async def ledger(*_: object) -> int:
        return left.pop(0)

    async def main() -> None:
        feed = ChangeFeed()
        upgrade = LedgerUpgrade(ledger_thread(ledger), feed)
        feed.subscribe(lambda change: seen.append((change, upgrade.done.is_set())))
        await upgrade.begin()
        assert not upgrade.done.is_set()
        task = asyncio.create_task(upgrade.run())
        await upgrade.done.wait()
        task.cancel()

    asyncio.run(main())
    assert seen == [(Change(ChangeKind.AVAILABILITY, ""), True)]
    assert not left


def ledger_thread(call: object) -> LedgerThread:
    """A thread that gives prepared answers."""
    return call  # type: ignore[return-value]  # only called
