"""Retention in the running daemon: a task and a disk thread for each watch."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, Any

import structlog

from checkpointd.daemon.threads import DiskThread, LedgerThread
from checkpointd.ledger import Entry, Ledger, LedgerError, Pin
from checkpointd.observe.sources import ControlError
from checkpointd.retention import Hold, Pruner, Removal, TrashError
from checkpointd.retention.current import plan_watch, public_plan, public_removal

if TYPE_CHECKING:
    from checkpointd.config import WatchSettings
    from checkpointd.daemon.service import Service
    from checkpointd.retention import Plan

_CALM_SECONDS = 0.5
_ROUND_SECONDS = 60.0

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
    """What one watch has of its own."""

    def __init__(self, settings: WatchSettings, records: LedgerRecords) -> None:
        self.settings = settings
        self.pruner = Pruner(str(settings.path), records)
        self.disk = DiskThread(settings.name)
        self.wanted = asyncio.Event()
        self.recovered = False
        self.told = ""
        self.task: asyncio.Task[None] | None = None


class Retaining:
    """Plans after every verdict and every minute; carries out where the mode is `enforce`."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._records = LedgerRecords(service.ledger)
        self._rooms: dict[str, _Room] = {}
        self.holds: dict[str, tuple[Hold, ...]] = {}

    def begin(self, settings: WatchSettings) -> None:
        """Look after a watch."""
        room = self._rooms[settings.name] = _Room(settings, self._records)
        room.task = asyncio.create_task(self._keep(room))

    async def forget(self, watch: str) -> None:
        """Look after a watch no longer."""
        room = self._rooms.pop(watch, None)
        self.holds.pop(watch, None)
        if room is not None and room.task is not None:
            room.task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await room.task
            room.disk.close()

    async def close(self) -> None:
        """Look after no watch any longer."""
        for watch in list(self._rooms):
            await self.forget(watch)

    def wanted(self, watch: str) -> None:
        """Plan a watch again soon: something about it has changed."""
        if watch in self._rooms:
            self._rooms[watch].wanted.set()

    async def _keep(self, room: _Room) -> None:
        while True:
            try:
                await self._round(room)
            except (OSError, LedgerError, TrashError) as error:
                log.warning("retention", watch=room.settings.name, error=str(error))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(room.wanted.wait(), _ROUND_SECONDS)
            await asyncio.sleep(_CALM_SECONDS)
            room.wanted.clear()

    async def _round(self, room: _Room) -> None:
        name, policy = room.settings.name, room.settings.retention
        watch = self._service.engine.watches.get(name)
        if watch is None:
            return
        status = watch[1].status()
        if not (status.ready and status.up):
            return
        if policy.mode != "off":
            planned, _ = await self._act(room, apply=policy.mode == "enforce")
            self._tell(room, planned)
        expired = await room.disk(room.pruner.expire, time.time(), policy.trash_ttl)
        for item in expired.deleted:
            log.info("deleted from the trash", watch=name, path=item.path)
        for trouble in expired.troubles:
            log.warning("trash", watch=name, message=trouble)
        await room.disk(self._measure, room)

    def _measure(self, room: _Room) -> None:
        self._service.board.measure(
            room.settings.name, str(room.settings.path), room.pruner.trash.bytes()
        )

    def _tell(self, room: _Room, planned: Plan) -> None:
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

    async def _act(self, room: _Room, *, apply: bool) -> tuple[Plan, list[Removal]]:
        """Plan a watch in its disk thread, carry the plan out there, and note the results."""
        watcher = self._service.engine.watches[room.settings.name][1]
        status = watcher.status()
        trouble = "" if status.up and status.ready else status.message or "It is not listed yet."
        planned, removals = await room.disk(self._plan, room, trouble, apply)
        for removal in removals:
            self._note(room.settings.name, removal)
            for suspect in removal.suspects:
                watcher.again(suspect)
        self._service.engine.dirty.set()
        return planned, removals

    def _plan(self, room: _Room, trouble: str, apply: bool) -> tuple[Plan, list[Removal]]:
        if not room.recovered:
            for found in room.pruner.recover():
                if found.message:
                    log.warning("trash", watch=room.settings.name, message=found.message)
            room.recovered = True
        planned = plan_watch(self._records, room.settings, time.time(), trouble)
        removals = room.pruner.apply(planned) if apply and planned.removals else []
        return planned, removals

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
                item = await room.disk(room.pruner.restore, path)
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
