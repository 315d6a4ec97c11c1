"""Retention of one watch of a bucket: as `WatchRetention`, with the bucket in place of a disk."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import structlog

from checkpointd.buckets.deleting import BucketSafety
from checkpointd.daemon.disk_usage import DiskUsage
from checkpointd.daemon.reverified import Reverified
from checkpointd.daemon.threads import DiskThread
from checkpointd.daemon.watch_retention import ApplyBy
from checkpointd.ledger import RemovalStage
from checkpointd.retention.buckets import (
    BucketKeeper,
    BucketPruner,
    BucketReferences,
    BucketView,
    plan_bucket,
    with_safety,
)
from checkpointd.retention.confirmation import confirm_and_record, confirmed
from checkpointd.retention.policy import note_enforced
from checkpointd.retention.preview import Preview
from checkpointd.retention.trash import Expired

if TYPE_CHECKING:
    from collections.abc import Iterable

    from checkpointd.config import WatchSettings
    from checkpointd.daemon.ledger_records import LedgerRecords
    from checkpointd.ledger import BucketRemoval
    from checkpointd.retention import Removal, RetentionPlan
    from checkpointd.retention.evaluation import CurrentEvaluation
    from checkpointd.watch.any_watcher import AnyWatcher

_STOP_SECONDS = 5.0
_THREADS = 8
_NOTHING_EXPIRED = Expired((), ())

log = structlog.get_logger()


class BucketRetention:
    """Plans and prunes one watch of a bucket; everything that waits for it runs in one thread.

    Args:
        settings: of the watch.
        records: the ledger.
        before: threads that still work on the same root for a watch that was stopped.
    """

    def __init__(
        self, settings: WatchSettings, records: LedgerRecords, before: Iterable[DiskThread]
    ) -> None:
        self.settings = settings
        self.name = settings.name
        self.root = settings.bucket
        self.trash_directory = settings.bucket
        self.requested = asyncio.Event()
        self.stopping = False
        self.due = 0.0
        self.task: asyncio.Task[None] | None = None
        self.plan_seconds = 0.0
        self.vault = None  # the bucket's own versions keep what is overwritten
        self.preview = Preview()
        self.usage = DiskUsage()
        self._reverified = Reverified()
        self._records = records
        self._view = BucketView(self.root)
        self._references = BucketReferences(self._view)
        self._pruner = BucketPruner(settings.name, self._view, records, threads=_THREADS)
        self._keeper = BucketKeeper(settings.name, self._view, records)
        self._recovered = False
        self._before = tuple(before)
        self._thread = DiskThread(settings.name)

    async def stop(self) -> tuple[DiskThread, ...]:
        """Stop after the removals that have begun.

        Returns:
            The threads that have not ended.
        """
        self.stopping = True
        self._pruner.stop()
        self._thread.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_STOP_SECONDS):
                await self._thread.ended()
        if self.task is not None:
            self.task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self.task
        return tuple(one for one in (*self._before, self._thread) if not one.over)

    def forget_disk(self) -> None:
        """Recover and plan again once the bucket answers."""
        self._recovered = False
        self.due = 0.0

    async def recover(self) -> None:
        """Finish or undo what a crash left half done, in every mode."""
        await self._ready()
        await self._thread(self._recover)

    async def plan(
        self, problem: str, evaluation: CurrentEvaluation, by: ApplyBy
    ) -> tuple[RetentionPlan, list[Removal]]:
        """Plan, and carry the plan out; see `WatchRetention`."""
        await self._ready()
        return await self._thread(self._plan, problem, evaluation, by)

    async def restore(self, path: str) -> tuple[BucketRemoval, bool]:
        """Undo a removal by its path or its id; what comes back is pinned."""
        await self._ready()
        return await self._thread(self._restore, path), True

    async def empty(self, ids: frozenset[str]) -> Expired:
        """Nothing: what was deleted is in the versions of the bucket, which has its own rules."""
        del ids  # of other trashes
        return _NOTHING_EXPIRED

    async def expire(self) -> Expired:
        """Forget removals that the store can no longer undo."""
        await self._ready()
        await self._thread(self._pruner.forget_expired)
        return _NOTHING_EXPIRED

    async def follow_disk(self) -> bool:
        """Nothing: a bucket is never full."""
        return False

    @property
    def problem(self) -> str:
        """Why the records in the bucket could not be written; empty if they could."""
        return self._keeper.problem

    async def accept(self) -> int:
        """Accept the ledger as it is, so that pruning continues."""
        await self._ready()
        await self._thread(self._keeper.accept)
        return 0

    async def measure(self) -> None:
        """Measure what removed checkpoints still occupy in the versions of the bucket."""
        await self._ready()
        await self._thread(self._measure)

    def reverify(self, watcher: AnyWatcher, planned: RetentionPlan, paths: Iterable[str]) -> None:
        """Have paths verified again, each generation once."""
        self._reverified.report(watcher, planned, paths)

    async def _ready(self) -> None:
        """Wait until no other thread works on the same root."""
        for thread in self._before:
            await thread.ended()
        self._before = ()

    def _plan(
        self, problem: str, evaluation: CurrentEvaluation, by: ApplyBy
    ) -> tuple[RetentionPlan, list[Removal]]:
        self._recover()
        began = time.monotonic()
        is_person = by is ApplyBy.PERSON
        planned = plan_bucket(
            self._records,
            self.settings,
            time.time(),
            self._view,
            self._references,
            self._keeper.synchronize(enforce=by is not ApplyBy.NOBODY),
            problem,
            evaluation,
            by_person=is_person,
        )
        if not problem:
            planned = confirm_and_record(self._records, self.settings, planned)
        self.plan_seconds = time.monotonic() - began
        if is_person:
            self.preview.check(self.name, planned)
            planned = replace(planned, unconfirmed=())
        safety = BucketSafety()
        if planned.removals and (is_person or self.settings.retention.mode == "enforce"):
            is_shown = by is ApplyBy.NOBODY or planned.unconfirmed
            sign = None if is_shown else self._keeper.sign
            planned, safety = with_safety(planned, self.settings, self._pruner, self._keeper, sign)
        if by is ApplyBy.NOBODY or planned.unconfirmed:
            return planned, []
        if is_person and not problem:
            before = self._records.policy_records(self.name)
            records = confirmed(self.settings, planned, time.time(), before)
            self._records.record_policies(self.name, records)
        removals = self._pruner.apply(planned, self._references, safety)
        note_enforced(self._records, self.settings, removals)
        if not all(removal.done for removal in removals):
            self._recovered = False
        return planned, removals

    def _recover(self) -> None:
        if self._recovered:
            return
        for message in self._pruner.recover():
            log.warning("recovered in the bucket", watch=self.name, message=message)
        self._recovered = True

    def _restore(self, path: str) -> BucketRemoval:
        self._recover()
        try:
            return self._pruner.restore(path)
        except OSError:
            self._recovered = False
            raise

    def _measure(self) -> None:
        removals = self._records.bucket_removals(self.name)
        held = sum(r.size_bytes for r in removals if r.stage is RemovalStage.DONE)
        self.usage = replace(self.usage, trash=held)
