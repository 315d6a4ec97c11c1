"""Checks the watches: collects their counters, and pauses those whose disk does not answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from checkpointd.ledger import Change, ChangeKind

if TYPE_CHECKING:
    from checkpointd.daemon.changes import ChangeFeed
    from checkpointd.daemon.verifier import Verifier
    from checkpointd.daemon.watches import Watches
    from checkpointd.daemon.work_queue import WorkQueue
    from checkpointd.observe.metrics import Metrics
    from checkpointd.watch.any_watcher import AnyWatcher

log = structlog.get_logger()


class WatchSupervisor:
    """To be called every second.

    Args:
        watches: the watches that run.
        metrics: counts overflows and restarts.
        work: takes nothing from watches that hang.
        verifier: ends what it verifies in them.
        feed: passes on that a watch hangs or answers again.
    """

    def __init__(
        self,
        watches: Watches,
        metrics: Metrics,
        work: WorkQueue,
        verifier: Verifier,
        feed: ChangeFeed,
    ) -> None:
        self._watches = watches
        self._metrics = metrics
        self._work = work
        self._verifier = verifier
        self._feed = feed
        self._counted: dict[AnyWatcher, tuple[int, int, int]] = {}
        self._hung: frozenset[str] = frozenset()

    def check(self) -> None:
        """Compare the watches with what they were a second ago."""
        hung, counted = set[str](), {}
        for name, watch in self._watches.items():
            status = watch.watcher.status()
            overflows, restarts, pages = self._counted.get(watch.watcher, (0, 0, 0))
            self._metrics.overflow(name, max(0, status.overflows - overflows))
            self._metrics.restarted(name, max(0, status.restarts - restarts))
            self._metrics.listed(name, max(0, status.pages - pages))
            counted[watch.watcher] = (status.overflows, status.restarts, status.pages)
            if status.hung:
                hung.add(name)
        self._counted = counted
        self.set_hung(frozenset(hung))

    def set_hung(self, watches: frozenset[str]) -> None:
        """Verify nothing in these watches, whose disk does not answer, until it does."""
        changed = watches ^ self._hung
        if not changed:
            return
        for name in changed:
            if name in watches:
                log.warning("disk does not answer", watch=name)
            else:
                log.info("disk answers again", watch=name)
        self._hung = watches
        self._work.pause(self._hung)
        self._verifier.abandon(self._hung)
        self._feed.emit(Change(ChangeKind.AVAILABILITY, name) for name in changed)
