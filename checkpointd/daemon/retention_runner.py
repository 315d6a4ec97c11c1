"""Retention in the running daemon: a task and a disk thread for each watch."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, Any

import structlog

from checkpointd.daemon import trash_controls
from checkpointd.daemon.disk_usage import DiskUsage
from checkpointd.daemon.fair_queue import Item
from checkpointd.daemon.former_trashes import FormerTrashes
from checkpointd.daemon.ledger_records import LedgerRecords
from checkpointd.daemon.memory import drop
from checkpointd.daemon.plan_times import ROUND_SECONDS, calm_seconds, seconds_until_next_plan
from checkpointd.daemon.retention_outcomes import PlanOutcome, RetentionOutcomes
from checkpointd.daemon.trash_owners import TrashOwners
from checkpointd.daemon.watch_retention import ApplyBy, WatchRetention
from checkpointd.ledger import ChangeKind, LedgerError
from checkpointd.observe.sources import ControlError
from checkpointd.retention import TrashError
from checkpointd.retention.evaluation import CurrentEvaluation
from checkpointd.retention.preview import ON_HOLD, PlanGrownError, why_skipped
from checkpointd.retention.public import public_plan, public_removal
from checkpointd.retention.summary import preview_text
from checkpointd.retention.trash import place_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from checkpointd.config import WatchSettings
    from checkpointd.daemon.bucket_retention import BucketRetention
    from checkpointd.daemon.threads import DiskThread, LedgerThread
    from checkpointd.daemon.watches import Watches
    from checkpointd.daemon.work_queue import WorkQueue
    from checkpointd.ledger import Change, Entry
    from checkpointd.observe.metrics import Metrics
    from checkpointd.retention import Hold, Removal, RetentionPlan

    AnyRetention = WatchRetention | BucketRetention
    """Both have the same methods; in a bucket is no disk to look after."""


CHANGES = frozenset(
    {
        ChangeKind.VERDICT,
        ChangeKind.PLACED,
        ChangeKind.GONE,
        ChangeKind.RESTORED,
        ChangeKind.PINS,
        ChangeKind.REPLICATED,
        ChangeKind.AVAILABILITY,
    }
)
"""After which kinds of change a watch is planned again; pruning itself is none of them."""

_PRECONDITION_FAILED = 412
_UNAVAILABLE = 503

_SPACE_SECONDS = 3.0
_PREVIEW_SECONDS = 10.0

log = structlog.get_logger()


class RetentionRunner:
    """Plans after every verdict and every minute; prunes where the mode is `enforce`.

    `outcomes` are what came of it, for the status.

    Args:
        ledger: holds the checkpoints.
        watches: the watches that run.
        work: holds what is to be compared already.
        metrics: counts what is pruned.
        digest: returns the digest of a checkpoint's content; empty if it cannot be read.
        note_holds: called with the holds of each plan of a watch.
        upgraded: set once the ledger has what plans need of each report; None: it has.
    """

    def __init__(
        self,
        ledger: LedgerThread,
        watches: Watches,
        work: WorkQueue,
        metrics: Metrics,
        digest: Callable[[Item], Awaitable[str]],
        note_holds: Callable[[str, Iterable[Hold]], Awaitable[None]] | None = None,
        upgraded: asyncio.Event | None = None,
    ) -> None:
        self.outcomes = RetentionOutcomes(metrics)
        self._records = LedgerRecords(ledger)
        self._watches = watches
        self._work = work
        self._metrics = metrics
        self._digest = digest
        self._note_holds = note_holds
        self._upgraded = upgraded
        self._running: dict[str, AnyRetention] = {}
        self._hung: list[tuple[str, DiskThread]] = []
        self._owners = TrashOwners(self._running)
        self.former = FormerTrashes(self._records, self._owners.settings)

    def begin(self, settings: WatchSettings) -> None:
        """Begin the retention of a watch."""
        before = [disk for root, disk in self._hung if root == str(settings.path)]
        watch: AnyRetention
        if settings.bucket:
            from checkpointd.daemon.bucket_retention import BucketRetention

            watch = BucketRetention(settings, self._records, before)
        else:
            before += self.former.release(place_of(settings).directory)
            watch = WatchRetention(settings, self._records, before, self._digest)
        self._running[settings.name] = watch
        watch.task = asyncio.create_task(self._run(watch))

    async def forget(self, name: str) -> None:
        """End the retention of a watch; nothing more is removed, unless its disk hangs."""
        watch = self._running.pop(name, None)
        self.outcomes.forget(name)
        if watch is None:
            return
        hung = await self._owners.stop(watch)
        self._hung = [(root, disk) for root, disk in self._hung if not disk.over]
        self._hung.extend((watch.root, disk) for disk in hung)
        if hung:
            log.warning("the disk does not answer, its thread is left behind", watch=name)

    async def close(self) -> None:
        """End the retention of all watches."""
        self.former.close()
        await asyncio.gather(*(self.forget(name) for name in list(self._running)))

    def on_change(self, change: Change) -> None:
        """Plan the watch of a change again soon; all of them if it names none."""
        for name in [change.watch] if change.watch else self._running:
            if name in self._running:
                self._running[name].requested.set()

    def usage(self, name: str) -> DiskUsage:
        """What was last found out about the file system of a watch."""
        return self._running[name].usage if name in self._running else DiskUsage()

    def is_tight(self, name: str) -> bool:
        """Whether the next saves of a watch may not fit its disk."""
        return not self.usage(name).filesystem.next_saves_fit

    def disk_problems(self) -> list[str]:
        """Sentences about disks on which the next saves do not fit, or only in place of trash."""
        return [watch.usage.problem for watch in self._running.values()]

    async def _run(self, watch: AnyRetention) -> None:
        next_round = 0.0
        while True:
            watch.plan_seconds = 0.0
            problems = list[str]()
            is_round = watch.requested.is_set() or time.monotonic() >= next_round
            try:
                await (self._round(watch) if is_round else self._make_space(watch))
            except (OSError, LedgerError, TrashError) as error:
                problems = [str(error)]
            except Exception:
                log.exception(
                    "retention failed because of a bug in checkpointd; it is retried",
                    watch=watch.name,
                )
            if is_round and not watch.stopping:
                next_round = time.monotonic() + ROUND_SECONDS
                self.outcomes.failures.note(watch.name, "retention", problems)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_SPACE_SECONDS):
                    await watch.requested.wait()
            await asyncio.sleep(calm_seconds(watch.plan_seconds))

    async def _make_space(self, watch: AnyRetention) -> None:
        """Expire trash if the next saves need its space; the next round may be too late."""
        if watch.name not in self._watches or self._why_unavailable(watch.name):
            return
        lacks_space = await watch.follow_disk()
        if lacks_space and watch.usage.trash and watch.settings.retention.mode != "off":
            await self._expire(watch)
            await watch.measure()

    async def _round(self, watch: AnyRetention) -> None:
        policy = watch.settings.retention
        is_due = watch.requested.is_set() or time.monotonic() >= watch.due
        watch.requested.clear()
        if watch.name not in self._watches:
            return
        if self._why_unavailable(watch.name):
            watch.forget_disk()
            return
        await watch.recover()
        if policy.mode != "off" and is_due:
            watch.due = 0.0
            began = time.monotonic()
            by = ApplyBy.DAEMON if policy.mode == "enforce" else ApplyBy.NOBODY
            planned, removals = await self._plan(watch, by)
            outcome = await asyncio.to_thread(PlanOutcome.of, planned, removals)
            self.outcomes.note_plan(watch.name, outcome)
            if self._note_holds is not None:
                await self._note_holds(watch.name, self.outcomes.holds[watch.name])
            is_locked = any(hold.reason == "root_locked" for hold in planned.holds)
            if not is_locked and all(removal.done for removal in removals):
                watch.due = began + seconds_until_next_plan(planned, watch.plan_seconds)
            if not is_locked:
                await self._copy(watch, planned)
            decisions = list(planned.decisions)
            del planned, removals
            await asyncio.to_thread(drop, decisions)
        if policy.mode != "off":
            await self._expire(watch)
        await watch.measure()

    async def _copy(self, watch: AnyRetention, planned: RetentionPlan) -> None:
        """Copy what is valid at paths that are overwritten into the vault."""
        if watch.vault is None:
            return
        try:
            await watch.vault.keep(planned)
        except OSError as error:
            watch.vault.problems.append(f"Watch {watch.name}: the vault cannot be used: {error}.")
        self.outcomes.failures.note(watch.name, "vault", watch.vault.problems)

    def vault_problems(self) -> list[str]:
        """Sentences about what could not be copied into the vaults."""
        vaults = [watch.vault for watch in self._running.values() if watch.vault is not None]
        return [text for vault in vaults for text in vault.problems]

    async def _expire(self, watch: AnyRetention) -> None:
        expired = await watch.expire()
        for item in expired.deleted:
            log.info("deleted from the trash", watch=watch.name, path=item.path, reason=item.reason)
            self._metrics.trash_deleted(watch.name, "early" if item.early else "expired")
        self.outcomes.failures.note(watch.name, "trash", expired.errors)
        self.outcomes.failures.note(watch.name, "root", [watch.problem] if watch.problem else [])

    def _why_unavailable(self, name: str) -> str:
        """Why the ledger may not know everything that is on disk; empty if it does."""
        watch = self._watches[name]
        status = watch.watcher.status()
        if not (status.up and status.ready):
            return status.message or "It is not listed yet."
        if not watch.labelled.is_set():
            return "It has just been listed, and its series are not up to date yet."
        if self._upgraded is not None and not self._upgraded.is_set():
            return "The ledger of an older version is being brought up to date; wait a minute."
        return ""

    async def _plan(self, watch: AnyRetention, by: ApplyBy) -> tuple[RetentionPlan, list[Removal]]:
        """Plan a watch, carry the plan out as `by` demands, and record the outcome."""
        watcher = self._watches[watch.name].watcher
        await self._watches.check_evaluator(watch.name)
        evaluation = CurrentEvaluation.of(self._watches.verify_settings(watch.name))
        problem = self._why_unavailable(watch.name)
        planned, removals = await watch.plan(problem, evaluation, by)
        self.outcomes.note_removals(watch.name, removals)
        if by is not ApplyBy.NOBODY:
            self.outcomes.note_refusals(watch.name, removals)
        suspects = [*planned.suspects, *(s for r in removals for s in r.suspects)]
        in_queue = self._work.is_in_background
        watch.reverify(watcher, planned, [s for s in suspects if not in_queue(watch.name, s)])
        self._evaluate(watch.name, planned.unevaluated)
        return planned, removals

    def _evaluate(self, name: str, unevaluated: Iterable[Entry]) -> None:
        """Queue checkpoints in the background, so that `evaluate` computes their metrics."""
        for entry in unevaluated:
            path = entry.path
            if not (self._work.is_busy(name, path) or self._work.is_in_background(name, path)):
                self._work.push_background(Item(entry.checkpoint, entry.generation, time.time()))

    async def preview(self, name: str) -> str:
        """What the policy of a watch would now remove, as soon as it is listed, in a sentence."""
        watch = self._running.get(name)
        if watch is None or watch.settings.retention.mode == "off":
            return "Pruning is off."
        try:
            async with asyncio.timeout(_PREVIEW_SECONDS):
                if not await self._watches[name].is_listed():
                    return f"Not known: {self._why_unavailable(name)}"
                planned, _ = await self._plan(watch, ApplyBy.NOBODY)
        except TimeoutError:
            return f"Not known yet: {self._why_unavailable(name) or 'the disk is slow.'}"
        except (OSError, LedgerError) as error:
            return f"Not known: {error}"
        return preview_text(planned)

    async def prune(self, name: str, *, apply: bool, force: bool = False) -> dict[str, Any]:
        """Plan a watch now, and with `apply` carry it out as a person wants it.

        In a mode that removes nothing this is only done with `force`.

        Raises:
            ControlError: the disk or the ledger cannot be read or written.
        """
        watch = self._running[name]
        skipped = why_skipped(watch.settings) if apply and not force else ""
        apply = apply and not skipped
        try:
            by = ApplyBy.PERSON if apply else ApplyBy.NOBODY
            planned, removals = await self._plan(watch, by)
        except PlanGrownError as error:
            raise ControlError(str(error), _PRECONDITION_FAILED) from None
        except (OSError, LedgerError) as error:
            raise ControlError(str(error), _UNAVAILABLE) from None
        if apply:
            skipped = ON_HOLD if planned.unconfirmed else ""
            self.outcomes.note_plan(
                name, await asyncio.to_thread(PlanOutcome.of, planned, removals)
            )
            watch.requested.set()
        else:
            watch.preview.note(planned)
        return {
            **public_plan(name, planned),
            "applied": apply,
            "skipped": skipped,
            "removals": [public_removal(removal) for removal in removals],
        }

    async def accept(self, name: str) -> dict[str, Any]:
        """Have the pruning of a watch go on with what the ledger knows now.

        Raises:
            ControlError: the disk or the ledger cannot be read or written.
        """
        watch = self._running[name]
        try:
            count = await watch.accept()
        except (OSError, LedgerError) as error:
            raise ControlError(str(error), _UNAVAILABLE) from None
        log.info("the ledger was accepted", watch=name, trash=count)
        watch.requested.set()
        return {"watch": name, "trash": count}

    async def restore(self, path: str) -> dict[str, Any]:
        """Take a checkpoint out of the trash of whichever watch holds it."""
        return await trash_controls.restore(list(self._running.values()), self.former, path)

    async def empty_trash(self, ids: frozenset[str]) -> dict[str, Any]:
        """Delete items for good from whichever trash holds them."""
        return await trash_controls.empty(list(self._running.values()), self.former, ids)
