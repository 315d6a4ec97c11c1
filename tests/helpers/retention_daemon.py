"""As much of a daemon as retention needs: real disk, real ledger; only the watch is played."""

from __future__ import annotations

import asyncio
import contextlib
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from checkpointd.config import RetentionSettings, WatchSettings
from checkpointd.daemon import retention_runner
from checkpointd.daemon.changes import ChangeFeed
from checkpointd.daemon.retention_runner import RetentionRunner
from checkpointd.daemon.runtimes import Runtimes
from checkpointd.daemon.threads import LedgerThread
from checkpointd.daemon.watches import Watch, Watches
from checkpointd.daemon.work_queue import WorkQueue
from checkpointd.ledger import Change, ChangeKind, Ledger
from tests.helpers.ledger import WRITERS, record_verdict

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from checkpointd.daemon.fair_queue import Item

ENFORCE = RetentionSettings(
    keep_last=1, keep_min_valid=1, min_age="1ms", mode="enforce", confirm="never"
)


def write(root: Path, kind: str, count: int) -> None:
    """Save valid checkpoints, `ckpt-0` and so on, each a second newer, before a daemon runs."""
    ledger = Ledger.open(root.parent / "state")
    for number in range(count):
        record_verdict(ledger, WRITERS[kind](root / f"ckpt-{number}", 1000.0 + number))
    ledger.close()


class Daemon:
    """As much of a daemon as retention needs."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.asked: list[str] = []
        self.pruned: list[str] = []
        self.deleted: list[str] = []
        self.status = SimpleNamespace(up=True, ready=True, message="", begins=False)
        self.feed = ChangeFeed()
        self.ledger = LedgerThread(self.feed.emit)
        self.watches = Watches(Runtimes())
        metrics = SimpleNamespace(
            pruned=lambda _, rule, __: self.pruned.append(rule),
            prune_failed=lambda _: None,
            trash_deleted=lambda _, cause: self.deleted.append(cause),
        )
        self.fault: Exception | None = None
        self.watcher = SimpleNamespace(status=self._status, report_again=self.asked.append)
        self.work = WorkQueue()
        self.retention = RetentionRunner(
            self.ledger,
            self.watches,
            self.work,
            metrics,  # type: ignore[arg-type]
            self._digest,
        )
        self.feed.subscribe(self.retention.on_change, retention_runner.CHANGES)

    async def _digest(self, item: Item) -> str:
        self.asked.append(item.checkpoint.path)
        return ""

    def _status(self) -> SimpleNamespace:
        if self.fault is not None:
            raise self.fault
        return self.status

    def begin(self, policy: RetentionSettings, *, labelled: bool = True, **verify: Any) -> None:
        """Begin the retention of the root under a policy."""
        settings = WatchSettings(name="w", path=self.root, retention=policy, verify=verify)
        self.watches["w"] = Watch(settings, self.watcher)  # type: ignore[arg-type]
        if labelled:
            self.watches["w"].labelled.set()
        self.retention.begin(settings)

    async def round(self) -> None:
        """Wait until another round has ended."""
        before = self.retention.usage("w").filesystem
        self.feed.emit([Change(ChangeKind.AVAILABILITY, "w")])
        await until(lambda: self.retention.usage("w").filesystem is not before)


async def until(condition: Callable[[], Any]) -> None:
    """Wait until a condition holds."""
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - no event covers everything that is waited for
            await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def running(root: Path) -> AsyncIterator[Daemon]:
    """A daemon with its ledger, until the end of the block."""
    daemon = Daemon(root)
    await daemon.ledger.open(root.parent / "state")
    try:
        yield daemon
    finally:
        await daemon.retention.close()
        daemon.watches.evaluators.close()
        await daemon.ledger.close()
