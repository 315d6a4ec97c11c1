"""The trash of watches that are configured no more, or have another trash now.

What was moved there can still be restored, and expires by the last policy that was known for it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from checkpointd.core.urls import parse_url
from checkpointd.daemon.retention_failures import RetentionFailures
from checkpointd.daemon.threads import DiskThread
from checkpointd.ledger import LedgerError
from checkpointd.retention import Pruner
from checkpointd.retention.buckets import BucketPruner, BucketView
from checkpointd.retention.root import RootKeeper
from checkpointd.retention.trash import (
    Expired,
    NotInTrashError,
    TrashError,
    TrashLimits,
    TrashPlace,
)
from checkpointd.retention.trash_ttl import former_policy

if TYPE_CHECKING:
    from collections.abc import Callable

    from checkpointd.config import WatchSettings
    from checkpointd.daemon.ledger_records import LedgerRecords
    from checkpointd.ledger import BucketRemoval, KnownTrash
    from checkpointd.retention import TrashItem

_ROUND_SECONDS = 60.0

log = structlog.get_logger()


class FormerTrash:
    """One such trash; everything that touches its disk runs in one thread."""

    def __init__(self, known: KnownTrash, records: LedgerRecords) -> None:
        self.known = known
        self.disk = DiskThread(f"trash-{known.watch}")
        self.task: asyncio.Task[None] | None = None
        self._records = records
        place = TrashPlace(known.root, known.directory)
        self._pruner = Pruner(known.root, records, place)
        self._keeper = RootKeeper(known.watch, place, records)
        self._recovered = False

    def close(self) -> DiskThread:
        """Begin nothing more; returns the thread, which may still be deleting one item."""
        self._pruner.stop()
        self.disk.close()
        return self.disk

    async def restore(self, path: str) -> TrashItem:
        """Take a checkpoint out of it."""
        return await self.disk(self._restore, path)

    async def empty(self, ids: frozenset[str]) -> Expired:
        """Delete items of it for good."""
        return await self.disk(self._empty, ids)

    async def expire(self, ttl: float, mode: str) -> Expired | None:
        """Delete what is old enough, and the trash itself if it is empty; None: mode is off."""
        return await self.disk(self._expire, ttl, mode)

    def _restore(self, path: str) -> TrashItem:
        with self._keeper.locked() as holder:
            if holder:
                raise TrashError(f"{path} cannot be restored now. {holder}")
            return self._pruner.restore(path)

    def _empty(self, ids: frozenset[str]) -> Expired:
        with self._keeper.locked() as holder:
            return Expired((), (holder,)) if holder else self._pruner.empty(ids)

    def _expire(self, ttl: float, mode: str) -> Expired | None:
        with self._keeper.locked() as holder:
            return None if holder else self._expire_alone(ttl, mode)

    def _expire_alone(self, ttl: float, mode: str) -> Expired | None:
        if not self._recovered:
            self._pruner.recover()
            self._recovered = True
        limits = TrashLimits(
            ttl,
            self._records.ages(),
            self._records.largest_bytes(self.known.watch),
        )
        expired = None if mode == "off" else self._pruner.expire(limits)
        if self._pruner.trash.remove_if_empty():
            self._records.forget_trash(self.known.directory)
        return expired


class FormerTrashes:
    """Maintains all of them, once a minute.

    Args:
        records: the ledger.
        running: the settings of the watches that run, by the directory of their trash.
    """

    def __init__(
        self, records: LedgerRecords, running: Callable[[], dict[str, WatchSettings]]
    ) -> None:
        self._records = records
        self._running = running
        self._failures = RetentionFailures(lambda _: None)
        self._known: dict[str, FormerTrash] = {}

    async def run(self) -> None:
        """Maintain them until cancelled."""
        while True:
            try:
                await self.round()
            except LedgerError as error:
                self._failures.note("", "trash", [str(error)])
            await asyncio.sleep(_ROUND_SECONDS)

    async def round(self) -> None:
        """Expire what is old enough in each; one whose disk hangs is left out."""
        for former in await self._former():
            if former.task is None or former.task.done():
                former.task = asyncio.create_task(self._expire(former))
        waiting = [former.task for former in self._known.values() if former.task is not None]
        if waiting:
            await asyncio.wait(waiting, timeout=_ROUND_SECONDS)

    async def restore(self, path: str) -> TrashItem | None:
        """Take a checkpoint out of whichever holds it; None if none does.

        Raises:
            TrashError: it cannot be restored.
            OSError: the file system refused.
            LedgerError: the ledger cannot be read or written.
        """
        for former in await self._former():
            try:
                return await former.restore(path)
            except (FileNotFoundError, NotInTrashError):
                continue
        return None

    async def restore_in_bucket(self, path: str) -> BucketRemoval | None:
        """Undo a removal from the bucket of a watch that is configured no more; None if none is.

        Raises:
            TrashError: it cannot be restored.
            OSError: the store refuses or does not answer.
            LedgerError: the ledger cannot be read or written.
        """
        return await asyncio.to_thread(self._restore_in_bucket, path)

    def _restore_in_bucket(self, path: str) -> BucketRemoval | None:
        removals = self._records.bucket_removals()
        removal = next((r for r in removals if path in (r.path, r.item)), None)
        if removal is None:
            return None
        view = BucketView(parse_url(removal.path).root)
        return BucketPruner(removal.watch, view, self._records).restore(removal.item)

    async def empty(self, ids: frozenset[str]) -> list[Expired]:
        """Delete items of all of them for good.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        return [await former.empty(ids) for former in await self._former()]

    def release(self, directory: str) -> list[DiskThread]:
        """Leave a trash to a watch that has it now; returns the thread that may still use it."""
        former = self._known.pop(directory, None)
        return [] if former is None else [former.close()]

    def close(self) -> None:
        """Begin nothing more."""
        for directory in list(self._known):
            self.release(directory)

    async def _former(self) -> list[FormerTrash]:
        trashes = await asyncio.to_thread(self._records.trashes)
        running = self._running()
        for known in trashes:
            if known.directory in running:
                continue
            former = self._known.get(known.directory)
            if former is None or former.known != known:
                self.release(known.directory)
                self._known[known.directory] = FormerTrash(known, self._records)
        wanted = {known.directory for known in trashes} - set(running)
        for directory in set(self._known) - wanted:
            self.release(directory)
        return list(self._known.values())

    async def _expire(self, former: FormerTrash) -> None:
        known = former.known
        same_root = [s for s in self._running().values() if str(s.path) == known.root]
        policy = same_root[0].retention if same_root else None
        ttl, mode = former_policy(known, policy)
        errors: tuple[str, ...] = ()
        try:
            expired = await former.expire(ttl, mode)
        except FileNotFoundError:
            expired = None
        except (OSError, LedgerError, TrashError) as error:
            expired, errors = None, (str(error),)
        for item in expired.deleted if expired else ():
            log.info(
                "deleted from the trash", watch=known.watch, path=item.path, reason=item.reason
            )
        self._failures.note(known.directory, "trash", errors or (expired.errors if expired else ()))
