"""What the command line may change through the control socket."""

from __future__ import annotations

import asyncio
import math
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

import structlog

from checkpointd.buckets import storage_of
from checkpointd.daemon.fair_queue import Item
from checkpointd.daemon.threads import DiskThread
from checkpointd.ledger import Entry, Ledger, LedgerError, State
from checkpointd.ledger.facts import ABSENT
from checkpointd.ledger.public import public_entry
from checkpointd.observe.sources import ControlError
from checkpointd.watch.scan import find_checkpoints

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection

    from checkpointd.daemon.config_file import FileDifference
    from checkpointd.daemon.retention_runner import RetentionRunner
    from checkpointd.daemon.threads import LedgerThread
    from checkpointd.daemon.work_queue import WorkQueue

P = ParamSpec("P")
T = TypeVar("T")

_POLL_SECONDS = 0.1
_DISK_SECONDS = 30.0
_TORN_SECONDS = 5.0
_NOT_FOUND = 404
_CONFLICT = 409
_PRECONDITION_FAILED = 412
_NO_FORMAT = 415
_UNPROCESSABLE = 422
_UNAVAILABLE = 503

log = structlog.get_logger()


class Controls:
    """Implements `checkpointd.observe.sources.Control`.

    Args:
        reload: reads the config again.
        retention: prunes and restores.
        watches: the watches that run.
        ledger: keeps pins, and what verifications came to.
        work: takes what is to be verified now.
        timeout: seconds that a verification may take.
        compare: compares the config file with what runs.
        retry_hooks: hands events over to hooks again; returns how many.
    """

    def __init__(
        self,
        reload: Callable[[], Awaitable[dict[str, Any]]],
        retention: RetentionRunner,
        watches: Collection[str],
        ledger: LedgerThread,
        work: WorkQueue,
        timeout: float,
        compare: Callable[[], Awaitable[FileDifference]],
        retry_hooks: Callable[[Collection[int] | None], Awaitable[int]],
    ) -> None:
        self._reload = reload
        self._retention = retention
        self._watches = watches
        self._ledger = ledger
        self._work = work
        self._timeout = timeout
        self._compare = compare
        self._retry_hooks = retry_hooks

    async def reload(self) -> dict[str, Any]:
        """Read the config again."""
        result = await self._reload()
        if not result["ok"]:
            raise ControlError(result["message"], _UNPROCESSABLE)
        names = list(self._watches)
        previews = await asyncio.gather(*map(self._retention.preview, names))
        return {**result, "watches": dict(zip(names, previews, strict=True))}

    async def prune(self, *, apply: bool, watch: str | None, force: bool) -> dict[str, Any]:
        """Plan, and with `apply` carry out, the retention of one watch or all.

        Raises:
            ControlError: the config file is not what runs, and something is to be carried out.
        """
        names = [watch] if watch is not None else list(self._watches)
        for name in names:
            if name not in self._watches:
                known = ", ".join(self._watches) or "none"
                raise ControlError(f"There is no watch {name!r}; choose from {known}.", _NOT_FOUND)
        difference = await self._compare()
        differing = {name: about for name in names if (about := difference.about(name))}
        if apply and differing:
            about = next(iter(differing.values()))
            cure = "Correct it, then run" if difference.unreadable else "Run"
            raise ControlError(
                f"Nothing was changed: {about} {cure} `checkpointd reload` first.",
                _PRECONDITION_FAILED,
            )
        watches = [await self._retention.prune(n, apply=apply, force=force) for n in names]
        return {"watches": [{**w, "file_differs": differing.get(w["watch"], "")} for w in watches]}

    async def accept(self, watch: str | None) -> dict[str, Any]:
        """Have pruning go on with what the ledger knows now, for one watch or all."""
        names = [watch] if watch is not None else list(self._watches)
        for name in names:
            if name not in self._watches:
                raise ControlError(f"There is no watch {name!r}.", _NOT_FOUND)
        return {"watches": [await self._retention.accept(name) for name in names]}

    async def pin(self, path: str, note: str) -> dict[str, Any]:
        """Protect a checkpoint from pruning."""
        entry = await self._require_known(path)
        await self._on_ledger(Ledger.pin, entry.checkpoint.path, note)
        log.info("pinned", watch=entry.checkpoint.watch, path=entry.path, note=note)
        return {"path": entry.checkpoint.path, "pinned": True}

    async def unpin(self, path: str) -> dict[str, Any]:
        """Remove that protection."""
        await self._on_ledger(Ledger.unpin, path)
        log.info("unpinned", **await self._log_fields(path))
        return {"path": path, "pinned": False}

    async def tag(self, path: str, tags: Collection[str]) -> dict[str, Any]:
        """Add tags to a checkpoint."""
        entry = await self._require_known(path)
        for tag in tags:
            await self._on_ledger(Ledger.tag, entry.path, tag)
        log.info("tagged", watch=entry.checkpoint.watch, path=entry.path, tags=list(tags))
        return {"path": entry.path, "tags": sorted(entry.tags.union(tags))}

    async def untag(self, path: str, tags: Collection[str]) -> dict[str, Any]:
        """Remove tags from a path."""
        for tag in tags:
            await self._on_ledger(Ledger.untag, path, tag)
        log.info("untagged", **await self._log_fields(path), tags=list(tags))
        return {"path": path, "untagged": sorted(tags)}

    async def restore(self, path: str) -> dict[str, Any]:
        """Take a checkpoint out of the trash."""
        return await self._retention.restore(path)

    async def empty_trash(self, items: Collection[str]) -> dict[str, Any]:
        """Delete items of the trash for good."""
        return await self._retention.empty_trash(frozenset(items))

    async def retry_hooks(self, ids: Collection[int] | None) -> dict[str, Any]:
        """Run hooks for events again now."""
        try:
            return {"retried": await self._retry_hooks(ids)}
        except LedgerError as error:
            raise ControlError(str(error), _UNAVAILABLE) from None

    async def verify(self, path: str) -> dict[str, Any]:
        """Verify a checkpoint now, record it, and return its report.

        Raises:
            ControlError: there is no report; the sentence explains why.
        """
        entry = await self._require_known(path)
        item = await self._item_at_path(entry)
        requested_at = time.time()
        await self._on_ledger(
            Ledger.record_seen, item.checkpoint, item.generation, State.PENDING, ""
        )
        self._work.push(item)
        limit = requested_at + self._timeout
        writing_until = math.inf
        while time.time() < limit:
            await asyncio.sleep(_POLL_SECONDS)
            if self._is_busy(item):
                continue
            current = await self._on_ledger(Ledger.entry, item.checkpoint.path)
            if current is not None and current.state is State.WRITING:
                # Nobody writes to a torn file: its watch is about to report it as torn.
                writing_until = min(writing_until, time.time() + _TORN_SECONDS)
                if time.time() < writing_until:
                    continue
            return _report(path, current, requested_at)
        raise ControlError(f"{path} got no verdict in time.", _UNAVAILABLE)

    def _is_busy(self, item: Item) -> bool:
        return self._work.is_busy(item.checkpoint.watch, item.checkpoint.path)

    async def _item_at_path(self, entry: Entry) -> Item:
        """Return the checkpoint that is at a path now, as an item for the queue."""
        path = entry.checkpoint.path
        disk = DiskThread(f"asked-{entry.checkpoint.watch}")
        try:
            async with asyncio.timeout(_DISK_SECONDS):
                checkpoints = await disk(lambda: find_checkpoints(path, storage_of(path)))
        except TimeoutError:
            raise ControlError(
                f"The disk has not answered about {path} for {_DISK_SECONDS:g} s: "
                "check its file system, then try again.",
                _UNAVAILABLE,
            ) from None
        except (FileNotFoundError, NotADirectoryError):
            checkpoints = ()
        except OSError as error:
            raise ControlError(f"{path} cannot be read: {error.strerror}.", _UNAVAILABLE) from None
        finally:
            disk.close()
        if len(checkpoints) != 1:
            raise ControlError(f"{path} is no checkpoint any more.", _NOT_FOUND)
        checkpoint, generation = checkpoints[0]
        return Item(replace(entry.checkpoint, format=checkpoint.format), generation, time.time())

    async def _require_known(self, path: str) -> Entry:
        entry = await self._on_ledger(Ledger.entry, path.rstrip("/"))
        if entry is None or entry.state in ABSENT:
            raise ControlError(
                f"{path} is not known to the daemon: is it inside a watch?", _NOT_FOUND
            )
        return entry

    async def _log_fields(self, path: str) -> dict[str, str]:
        """The log fields of a path: its watch as well, if the path is known."""
        entry = await self._on_ledger(Ledger.entry, path)
        return {"path": path} if entry is None else {"watch": entry.checkpoint.watch, "path": path}

    async def _on_ledger(
        self, method: Callable[Concatenate[Ledger, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Call a method of the ledger; its errors become a `ControlError`."""
        try:
            return await self._ledger(method, *args, **kwargs)
        except LedgerError as error:
            raise ControlError(str(error), _UNAVAILABLE) from None


def _report(path: str, entry: Entry | None, requested_at: float) -> dict[str, Any]:
    """The report of a verification requested at `requested_at` (seconds since the epoch).

    Raises:
        ControlError: there is no report; the sentence explains why.
    """
    if entry is None or entry.state in ABSENT:
        raise ControlError(f"{path} was removed while it was verified.", _NOT_FOUND)
    if entry.state is State.UNKNOWN:
        detail = f" ({entry.message.rstrip('.')})" if entry.message else ""
        raise ControlError(f"{path} is no checkpoint that checkpointd knows{detail}.", _NO_FORMAT)
    if entry.state is State.WRITING:
        raise ControlError(
            f"{path} is still being written; `checkpointd wait` waits for its verdict.", _CONFLICT
        )
    report = entry.whole_report
    if report is not None and report.finished_at >= requested_at:
        return {**public_entry(entry), **report.to_public()}
    if entry.state is State.PENDING:
        raise ControlError(
            f"{path} has no verdict yet, it is verified again later; "
            "`checkpointd wait` waits for it.",
            _CONFLICT,
        )
    raise ControlError(
        f"{path} changed while it was verified; the daemon verifies it again by itself.", _CONFLICT
    )
