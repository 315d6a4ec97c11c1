"""Retention of one watch: its pruner and its disk thread, and what they do there."""

from __future__ import annotations

import asyncio
import contextlib
import enum
import time
from dataclasses import replace
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import structlog

from checkpointd.daemon.disk_meter import DiskMeter
from checkpointd.daemon.reverified import Reverified
from checkpointd.daemon.threads import DiskThread
from checkpointd.daemon.vault_keeper import VaultKeeper
from checkpointd.ledger import TrashTtl
from checkpointd.retention import Pruner, Removal, TrashError
from checkpointd.retention.confirmation import confirm_and_record, confirmed
from checkpointd.retention.policy import is_changed, note_enforced
from checkpointd.retention.preview import Preview
from checkpointd.retention.root import RootKeeper
from checkpointd.retention.trash import (
    Expired,
    TrashLimits,
    known_trash,
    place_of,
)
from checkpointd.retention.trash_holds import with_trash_holds
from checkpointd.retention.trash_ttl import limits_of, ttl_of
from checkpointd.retention.vault import is_copy_wanted
from checkpointd.retention.watch_plan import plan_watch, reference_index

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from checkpointd.config import WatchSettings
    from checkpointd.daemon.disk_usage import DiskUsage
    from checkpointd.daemon.fair_queue import Item
    from checkpointd.daemon.ledger_records import LedgerRecords
    from checkpointd.retention import RetentionPlan, TrashItem
    from checkpointd.retention.evaluation import CurrentEvaluation
    from checkpointd.retention.reference_index import ReferenceIndex
    from checkpointd.retention.root import RootDoubts
    from checkpointd.watch.any_watcher import AnyWatcher

P = ParamSpec("P")
T = TypeVar("T")

_STOP_SECONDS = 5.0
_THREADS = 16

log = structlog.get_logger()


class ApplyBy(enum.Enum):
    """Who wants a plan carried out, if anybody does."""

    NOBODY = enum.auto()
    """Nobody: it is only shown."""

    DAEMON = enum.auto()
    """The daemon, unless the plan waits for a person."""

    PERSON = enum.auto()
    """A person, who confirms the policy by that."""


class WatchRetention:
    """Plans and prunes one watch; everything that touches its disk runs in one thread.

    Args:
        settings: of the watch.
        records: the ledger.
        before: disk threads that still work on the same root for a watch that was stopped.
        digest: returns the digest of a checkpoint's content, for copies in the vault.
    """

    def __init__(
        self,
        settings: WatchSettings,
        records: LedgerRecords,
        before: Iterable[DiskThread],
        digest: Callable[[Item], Awaitable[str]],
    ) -> None:
        self.settings = settings
        self.name = settings.name
        self.root = str(settings.path)
        self.requested = asyncio.Event()
        self.stopping = False
        self.due = 0.0
        """When to plan although nothing has changed, in monotonic seconds."""
        self.task: asyncio.Task[None] | None = None
        self._records = records
        self.plan_seconds = 0.0
        """How long the last plan took, without what was removed."""
        place = place_of(settings)
        self._pruner = Pruner(self.root, records, place, threads=_THREADS)
        self._keeper = RootKeeper(settings.name, place, records)
        self.vault = VaultKeeper(settings, records, self._pruner.trash, digest)
        self._meter = DiskMeter(settings, self._pruner.trash, self.vault, records)
        self._recovered = False
        self.preview = Preview()
        self._reverified = Reverified()
        self._before = tuple(before)
        self._disk = DiskThread(settings.name)

    async def _on_disk(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a function in the disk thread, once no other thread works on the same root."""
        for disk in self._before:
            await disk.ended()
        self._before = ()
        return await self._disk(function, *args, **kwargs)

    async def stop(self) -> tuple[DiskThread, ...]:
        """Stop after the removal that has begun; a hung disk is left behind.

        Returns:
            The disk threads that have not ended.
        """
        self.stopping = True
        self._pruner.stop()
        self._disk.close()
        self.vault.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_STOP_SECONDS):
                await self._disk.ended()
        if self.task is not None:
            self.task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self.task
        return tuple(disk for disk in (*self._before, self._disk) if not disk.over)

    def forget_disk(self) -> None:
        """Recover and plan again: what is mounted here next may hold what a crash left."""
        self._recovered = False
        self._keeper.forget()
        self.due = 0.0

    async def recover(self) -> None:
        """Finish or undo what a crash left half done, in every mode."""
        await self._on_disk(self._recover)

    async def plan(
        self, problem: str, evaluation: CurrentEvaluation, by: ApplyBy
    ) -> tuple[RetentionPlan, list[Removal]]:
        """Plan, and carry the plan out.

        Args:
            problem: what is wrong with the watch, if anything is; then nothing is removed.
            evaluation: how `evaluate` measures checkpoints now.
            by: who wants what the plan does not keep removed.

        Raises:
            PlanGrownError: a person would remove much that was not shown before.
        """
        return await self._on_disk(self._plan, problem, evaluation, by)

    @property
    def trash_directory(self) -> str:
        """The directory of the trash."""
        return self._pruner.trash.place.directory

    async def restore(self, path: str) -> tuple[TrashItem, bool]:
        """Take a checkpoint out of the trash, or a copy of it out of the vault.

        Returns:
            The item, and whether it came from the trash; then it is pinned.
        """
        return await self._on_disk(self._restore, path)

    async def empty(self, ids: frozenset[str]) -> Expired:
        """Delete items of the trash and copies for good, whatever the mode is."""
        result = await self._on_disk(self._empty, ids)
        if not ids.isdisjoint(await self._on_disk(self._copies)):
            copies = await self.vault.empty(ids)
            result = Expired((*result.deleted, *copies.deleted), (*result.errors, *copies.errors))
        return result

    async def expire(self) -> Expired:
        """Delete what has been in the trash for longer than `trash_ttl`, or earlier if needed."""
        return await self._on_disk(self._expire)

    async def follow_disk(self) -> bool:
        """Measure the free space; return whether the next saves may lack space."""
        return await self._on_disk(self._follow_disk)

    async def accept(self) -> int:
        """Have pruning go on with what the ledger knows; return how many items were unknown."""
        return await self._on_disk(self._accept)

    @property
    def problem(self) -> str:
        """Why the copies in the root could not be written; empty if they could."""
        return self._keeper.problem

    async def measure(self) -> None:
        """Measure how full the file system is."""
        await self._on_disk(self._measure)

    @property
    def usage(self) -> DiskUsage:
        """How full the file system is, as far as that is known."""
        return self._meter.usage

    def reverify(self, watcher: AnyWatcher, planned: RetentionPlan, paths: Iterable[str]) -> None:
        """Have paths verified again, each generation once: a second time would find the same."""
        self._reverified.report(watcher, planned, paths)

    def _plan(
        self, problem: str, evaluation: CurrentEvaluation, by: ApplyBy
    ) -> tuple[RetentionPlan, list[Removal]]:
        apply = by is not ApplyBy.NOBODY
        with self._keeper.locked(enforce=apply) as holder:
            self._recover_alone(holder)
            began = time.monotonic()
            index = reference_index(self.settings)
            doubts = self._keeper.synchronize(holder, enforce=apply)
            planned = self._planned(problem, index, evaluation, doubts, by)
            below = self._keeper.doubts_below(d.entry.path for d in planned.removals)
            if below is not None:
                planned = self._planned(problem, index, evaluation, below, by)
            if not problem:
                planned = confirm_and_record(self._records, self.settings, planned)
            self.plan_seconds = time.monotonic() - began
            if by is ApplyBy.PERSON:
                self.preview.check(self.name, planned)
                if not problem:
                    ttl = TrashTtl(self.settings.retention.trash_ttl)
                    self._records.record_trash_ttl(self.name, ttl)
                    before = self._records.policy_records(self.name)
                    records = confirmed(self.settings, planned, time.time(), before)
                    self._records.record_policies(self.name, records)
                    planned = replace(planned, unconfirmed=())
            planned = with_trash_holds(
                planned, self._records, self.settings, by_person=by is ApplyBy.PERSON
            )
            if by is ApplyBy.NOBODY or planned.unconfirmed:
                return planned, []
            changed = is_changed(self._records, self.settings)
            if planned.removals:
                self._records.record_trash(known_trash(self.settings))
            removals = self._pruner.apply(planned, index, policy_changed=changed)
            note_enforced(self._records, self.settings, removals)
            if not all(removal.done for removal in removals):
                self._recovered = False
        return planned, removals

    def _planned(
        self,
        problem: str,
        index: ReferenceIndex,
        evaluation: CurrentEvaluation,
        doubts: RootDoubts,
        by: ApplyBy,
    ) -> RetentionPlan:
        return plan_watch(
            self._records,
            self.settings,
            time.time(),
            problem,
            index,
            evaluation,
            root=doubts,
            by_person=by is ApplyBy.PERSON,
        )

    def _expire(self) -> Expired:
        with self._keeper.locked() as holder:
            return Expired((), ()) if holder else self._pruner.expire(self._limits())

    def _empty(self, ids: frozenset[str]) -> Expired:
        with self._keeper.locked() as holder:
            return Expired((), (holder,)) if holder else self._pruner.empty(ids)

    def _limits(self) -> TrashLimits:
        ttl = ttl_of(self._records, self.settings, time.time())
        if ttl != self._records.trash_ttl(self.name):
            self._records.record_trash_ttl(self.name, ttl)
        return limits_of(self._records, self.settings, ttl)

    def _recover(self) -> None:
        with self._keeper.locked() as holder:
            self._recover_alone(holder)

    def _recover_alone(self, holder: str) -> None:
        """Recover, unless another process is moving things here."""
        if self._recovered or holder:
            return
        self.vault.recover()
        for recovered in self._pruner.recover():
            if recovered.message:
                log.warning("trash", watch=self.name, message=recovered.message)
        self._recovered = True

    def _copies(self) -> frozenset[str]:
        """The ids of the copies in the vault."""
        return frozenset(copy.id for copy in self.vault.copies())

    def _restore(self, path: str) -> tuple[TrashItem, bool]:
        with self._keeper.locked() as holder:
            if holder:
                raise TrashError(f"{path} cannot be restored now. {holder}")
            self._recover_alone(holder)
            if is_copy_wanted(path, self._pruner.trash.every_item(), self.vault.copies()):
                return self.vault.restore(path), False
            return self._pruner.restore(path), True

    def _accept(self) -> int:
        return len(self._keeper.accept())

    def _measure(self) -> None:
        self._meter.measure(self._limits())

    def _follow_disk(self) -> bool:
        before = self.usage.available
        disk = self._meter.follow()
        if disk is None:
            return False
        if self._meter.is_outdated(disk, before):
            self._measure()
        return disk.free < (self.usage.reserve or 0)
