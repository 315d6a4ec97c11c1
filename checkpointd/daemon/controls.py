"""What the command line may change through the control socket."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from checkpointd.daemon.queue import Item
from checkpointd.ledger import Entry, Ledger, LedgerError, State
from checkpointd.ledger.public import public_entry
from checkpointd.observe.sources import ControlError
from checkpointd.watch.scan import survey_path

if TYPE_CHECKING:
    from checkpointd.daemon.service import Service

_POLL_SECONDS = 0.1
_NOT_FOUND = 404
_UNPROCESSABLE = 422
_UNAVAILABLE = 503


class Controls:
    """Implements `checkpointd.observe.sources.Control` for a running daemon."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def reload(self) -> dict[str, Any]:
        """Read the config again."""
        result = await self._service.reload()
        if not result["ok"]:
            raise ControlError(result["message"], _UNPROCESSABLE)
        return result

    async def prune(self, *, apply: bool, watch: str | None) -> dict[str, Any]:
        """Plan, and with `apply` carry out, the retention of one watch or all."""
        names = [watch] if watch is not None else list(self._service.engine.watches)
        for name in names:
            if name not in self._service.engine.watches:
                raise ControlError(f"There is no watch {name!r}.", _NOT_FOUND)
        watches = [await self._service.retaining.prune(name, apply=apply) for name in names]
        return {"watches": watches}

    async def pin(self, path: str, note: str) -> dict[str, Any]:
        """Protect a checkpoint from pruning."""
        entry = await self._known(path)
        await self._written(self._service.ledger(Ledger.pin, entry.checkpoint.path, note))
        return {"path": entry.checkpoint.path, "pinned": True}

    async def unpin(self, path: str) -> dict[str, Any]:
        """Take that protection away."""
        await self._written(self._service.ledger(Ledger.unpin, path))
        for watch in self._service.engine.watches:
            self._service.retaining.wanted(watch)
        return {"path": path, "pinned": False}

    async def restore(self, path: str) -> dict[str, Any]:
        """Take a checkpoint out of the trash."""
        return await self._service.retaining.restore(path)

    async def verify(self, path: str) -> dict[str, Any]:
        """Verify a checkpoint now, record it, and give its report."""
        entry = await self._known(path)
        watch = entry.checkpoint.watch
        found = await asyncio.to_thread(survey_path, entry.checkpoint.path)
        if len(found) != 1:
            raise ControlError(f"{path} is no checkpoint any more.", _NOT_FOUND)
        item = Item(
            replace(entry.checkpoint, format=found[0][0].format),
            found[0][1],
            time.time(),
        )
        asked = time.time()
        await self._written(
            self._service.ledger(
                Ledger.sighted, item.checkpoint, item.generation, State.PENDING, ""
            )
        )
        self._service.engine.enqueue(item)
        limit = asked + self._service.config.worker.timeout
        while time.time() < limit:
            await asyncio.sleep(_POLL_SECONDS)
            engine = self._service.engine
            if engine.queue.holds(watch, entry.checkpoint.path):
                continue
            if entry.checkpoint.path in engine.verifying:
                continue
            current = await self._service.ledger(Ledger.entry, entry.checkpoint.path)
            if current is None or current.report is None or current.report.finished_at < asked:
                raise ControlError(f"{path} changed while it was verified; it comes again.")
            return {**public_entry(current), **current.report.to_public()}
        raise ControlError(f"{path} got no verdict in time.", _UNAVAILABLE)

    async def _known(self, path: str) -> Entry:
        entry = await self._service.ledger(Ledger.entry, path.rstrip("/"))
        if entry is None or entry.state in (State.GONE, State.TRASHED):
            raise ControlError(
                f"{path} is not known to the daemon: is it inside a watch?", _NOT_FOUND
            )
        return entry

    @staticmethod
    async def _written(work: Any) -> None:
        try:
            await work
        except LedgerError as error:
            raise ControlError(str(error), _UNAVAILABLE) from None
