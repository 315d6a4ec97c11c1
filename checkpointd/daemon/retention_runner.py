"""Retention in the running daemon: a task and a disk thread for each watch."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import structlog

from checkpointd.daemon.threads import DiskThread, LedgerThread
from checkpointd.ledger import Entry, Ledger, LedgerError, Pin
from checkpointd.observe.sources import ControlError
from checkpointd.retention import Hold, Pruner, Removal, TrashError
from checkpointd.retention.public import public_plan, public_removal
from checkpointd.retention.watch_plan import plan_watch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from checkpointd.config import WatchSettings
    from checkpointd.core.checkpoint import Generation
    from checkpointd.daemon.service import Service
    from checkpointd.retention import RetentionPlan, TrashItem
    from checkpointd.watch.watcher import Watcher

P = ParamSpec("P")
T = TypeVar("T")

_CALM_SECONDS = 0.5
_CALM_SHARE = 20.0
_ROUND_SECONDS = 60.0
_PLAN_SECONDS = 600.0
_PLAN_SHARE = 1000.0
_STOP_SECONDS = 5.0

log = structlog.get_logger()


class LedgerRecords:
    """The ledger as a pruner's thread uses it: each call waits for the ledger's own thread."""

    def __init__(self, ledger: LedgerThread) -> None:
        self._ledger = ledger

    def entry(self, path: str) -> Entry | None:
        """The entry of a path."""
        return self._ledger.wait(Ledger.entry, path)

    def entries(self, watch: str | None = None) -> list[Entry]:
        """Everything that is known of a watch."""
        return self._ledger.wait(Ledger.entries, watch)

    def unconfirmed(self, watch: str) -> bool:
        """Whether the ledger was lost, and not all has been verified again."""
        return not self._ledger.wait(Ledger.confirm, watch)

    def trashed(
        self, path: str, *, rule: str, reason: str, item: str, at: float | None = None
    ) -> None:
        """Note that a checkpoint was moved into the trash."""
        self._ledger.wait(Ledger.trashed, path, rule=rule, reason=reason, item=item, at=at)

    def restored(self, path: str, item: str) -> None:
        """Note that a checkpoint came back."""
        self._ledger.wait(Ledger.restored, path, item)

    def pin(self, path: str, note: str = "") -> Pin:
        """Protect a path."""
        return self._ledger.wait(Ledger.pin, path, note)


class _Room:
    """What one watch has of its own.

    `before` are the disk threads that still work on the same root for a watch that was stopped,
    `asked` the generations that were to be verified again, `due` is when to plan although nothing
    has changed (monotonic seconds).
    """

    def __init__(
        self, settings: WatchSettings, records: LedgerRecords, before: Iterable[DiskThread]
    ) -> None:
        self.settings = settings
        self.root = str(settings.path)
        self.pruner = Pruner(self.root, records)
        self.wanted = asyncio.Event()
        self.leaving = False
        self.recovered = False
        self.told = ""
        self.asked: dict[str, Generation] = {}
        self.due = 0.0
        self.task: asyncio.Task[None] | None = None
        self._before = tuple(before)
        self._disk = DiskThread(settings.name)

    async def on_disk(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a function in the disk thread, once nobody else works on the same root."""
        for disk in self._before:
            await disk.ended()
        self._before = ()
        return await self._disk(function, *args, **kwargs)

    async def leave(self) -> tuple[DiskThread, ...]:
        """End what is being done, after the removal that has begun; a hung disk is left behind.

        Returns:
            The disk threads that have not ended.
        """
        self.leaving = True
        self.pruner.stop()
        self._disk.close()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._disk.ended(), _STOP_SECONDS)
        if self.task is not None:
            self.task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self.task
        return tuple(disk for disk in (*self._before, self._disk) if not disk.over)


class Retaining:
    """Plans after every verdict and every minute; carries out where the mode is `enforce`."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._records = LedgerRecords(service.ledger)
        self._rooms: dict[str, _Room] = {}
        self._left: list[tuple[str, DiskThread]] = []
        self.holds: dict[str, tuple[Hold, ...]] = {}
        self.refusals: dict[str, str] = {}

    def begin(self, settings: WatchSettings) -> None:
        """Look after a watch."""
        before = [disk for root, disk in self._left if root == str(settings.path)]
        room = self._rooms[settings.name] = _Room(settings, self._records, before)
        room.task = asyncio.create_task(self._keep(room))

    async def forget(self, watch: str) -> None:
        """Look after a watch no longer; nothing more is removed, unless its disk hangs."""
        room = self._rooms.pop(watch, None)
        self.holds.pop(watch, None)
        self.refusals.pop(watch, None)
        if room is None:
            return
        left = await room.leave()
        self._left = [(root, disk) for root, disk in self._left if not disk.over]
        self._left.extend((room.root, disk) for disk in left)
        if left:
            log.warning("the disk does not answer, its thread is left behind", watch=watch)

    async def close(self) -> None:
        """Look after no watch any longer."""
        await asyncio.gather(*(self.forget(watch) for watch in list(self._rooms)))

    def wanted(self, watch: str) -> None:
        """Plan a watch again soon: something about it has changed."""
        if watch in self._rooms:
            self._rooms[watch].wanted.set()

    async def _keep(self, room: _Room) -> None:
        while True:
            began = time.monotonic()
            try:
                await self._round(room)
            except (OSError, LedgerError, TrashError) as error:
                if not room.leaving:
                    log.warning("retention", watch=room.settings.name, error=str(error))
            except Exception:
                log.exception(
                    "retention failed, this is our own fault; it is tried again",
                    watch=room.settings.name,
                )
            seconds = time.monotonic() - began
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(room.wanted.wait(), _ROUND_SECONDS)
            await asyncio.sleep(max(_CALM_SECONDS, _CALM_SHARE * seconds))

    async def _round(self, room: _Room) -> None:
        name, policy = room.settings.name, room.settings.retention
        asked = room.wanted.is_set() or time.monotonic() >= room.due
        room.wanted.clear()
        watch = self._service.engine.watches.get(name)
        if watch is None:
            return
        status = watch[1].status()
        if not (status.ready and status.up):
            room.recovered = False  # what is mounted here next may hold what a crash left
            room.due = 0.0
            return
        await room.on_disk(self._recover, room)
        if policy.mode != "off" and asked:
            room.due = 0.0
            began = time.monotonic()
            planned, removals = await self._act(room, apply=policy.mode == "enforce")
            self._tell(room, planned)
            if all(removal.done for removal in removals):
                seconds = time.monotonic() - began
                room.due = began + max(_PLAN_SECONDS, _PLAN_SHARE * seconds)
        expired = await room.on_disk(room.pruner.expire, time.time(), policy.trash_ttl)
        for item in expired.deleted:
            log.info("deleted from the trash", watch=name, path=item.path, reason=item.reason)
        for error in expired.errors:
            log.warning("trash", watch=name, message=error)
        await room.on_disk(self._measure, room)

    def _measure(self, room: _Room) -> None:
        self._service.board.measure(
            room.settings.name, str(room.settings.path), room.pruner.trash.bytes()
        )

    def _tell(self, room: _Room, planned: RetentionPlan) -> None:
        """Log what a dry run would remove, and holds, once each time they change."""
        name = room.settings.name
        self.holds[name] = planned.holds
        dry = planned.policy.mode == "dry-run"
        would = [d.entry.path for d in planned.removals] if dry else []
        told = repr((would, planned.holds))
        if told == room.told:
            return
        room.told = told
        self._service.engine.dirty.set()
        for hold in planned.holds:
            log.warning(
                "pruning on hold",
                watch=name,
                series=hold.series,
                reason=hold.reason,
                message=hold.message,
                cure=hold.cure,
            )
        if would:
            log.info("would prune (dry-run)", watch=name, count=len(would), first=would[0])

    async def _act(self, room: _Room, *, apply: bool) -> tuple[RetentionPlan, list[Removal]]:
        """Plan a watch in its disk thread, carry the plan out there, and note the results."""
        watcher = self._service.engine.watches[room.settings.name][1]
        status = watcher.status()
        trouble = "" if status.up and status.ready else status.message or "It is not listed yet."
        planned, removals = await room.on_disk(self._plan, room, trouble, apply)
        for removal in removals:
            self._note(room.settings.name, removal)
        if apply:
            self._remember_refusals(room.settings.name, removals)
        if removals:
            self._service.publishing.wanted(room.settings.name)
        suspects = [*planned.suspects, *(s for r in removals for s in r.suspects)]
        compared, name = self._service.engine.background, room.settings.name
        suspects = [path for path in suspects if not compared.holds(name, path)]
        _ask_again(room, watcher, planned, suspects)
        self._service.engine.dirty.set()
        return planned, removals

    def _plan(self, room: _Room, trouble: str, apply: bool) -> tuple[RetentionPlan, list[Removal]]:
        self._recover(room)
        planned = plan_watch(self._records, room.settings, time.time(), trouble)
        removals = room.pruner.apply(planned) if apply and planned.removals else []
        return planned, removals

    def _recover(self, room: _Room) -> None:
        """Bring to an end what a crash left half done, whatever the mode is."""
        if room.recovered:
            return
        for found in room.pruner.recover():
            if found.message:
                log.warning("trash", watch=room.settings.name, message=found.message)
        room.recovered = True

    def _restore(self, room: _Room, path: str) -> TrashItem:
        self._recover(room)
        return room.pruner.restore(path)

    def _remember_refusals(self, watch: str, removals: list[Removal]) -> None:
        """What could not be pruned stands among the daemon's problems until it could."""
        refused = [r for r in removals if not r.done]
        self.refusals.pop(watch, None)
        if refused:
            self.refusals[watch] = (
                f"Watch {watch}: {len(refused)} of {len(removals)} could not be pruned; "
                f"{refused[0].entry.path}: {refused[0].reason.rstrip('.')}."
            )

    def _note(self, watch: str, removal: Removal) -> None:
        metrics, path = self._service.metrics, removal.entry.path
        if removal.done:
            metrics.pruned(watch, removal.rule, removal.size_bytes)
            log.info("pruned", watch=watch, path=path, rule=removal.rule, reason=removal.reason)
        else:
            metrics.prune_failed(watch)
            log.warning("not pruned", watch=watch, path=path, reason=removal.reason)

    async def prune(self, watch: str, *, apply: bool) -> dict[str, Any]:
        """Plan a watch now, and with `apply` carry it out, whatever its mode is."""
        room = self._rooms[watch]
        try:
            planned, removals = await self._act(room, apply=apply)
        except (OSError, LedgerError) as error:
            raise ControlError(str(error), 503) from None
        answer = public_plan(watch, planned)
        answer["applied"] = apply
        answer["removals"] = [public_removal(removal) for removal in removals]
        return answer

    async def restore(self, path: str) -> dict[str, Any]:
        """Take a checkpoint out of the trash of whichever watch it lay in.

        Raises:
            ControlError: it is in no trash, or its place is taken.
        """
        said = f"{path} is in no trash; `checkpointd trash list` names what is."
        for room in self._rooms.values():
            try:
                item = await room.on_disk(self._restore, room, path)
            except TrashError as error:
                if path.startswith(f"{room.settings.path}/"):
                    said = str(error)
            except (OSError, LedgerError) as error:
                raise ControlError(f"{path} cannot be restored: {error}", 503) from None
            else:
                log.info("restored", watch=room.settings.name, path=item.path)
                self._service.engine.dirty.set()
                return {"path": item.path, "watch": room.settings.name, "pinned": True}
        raise ControlError(said, 404)


def _ask_again(
    room: _Room, watcher: Watcher, planned: RetentionPlan, suspects: Iterable[str]
) -> None:
    """Have suspects verified again, each generation once: a second look would see the same."""
    known = {d.entry.path: d.entry.generation for d in planned.decisions}
    room.asked = {path: of for path, of in room.asked.items() if known.get(path) == of}
    for path in suspects:
        if path in known and path not in room.asked:
            room.asked[path] = known[path]
            watcher.report_again(path)
