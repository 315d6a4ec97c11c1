"""The vault of one watch in the daemon: copies after a valid verdict, and brings them back."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import structlog

from checkpointd.daemon.fair_queue import Item
from checkpointd.daemon.threads import DiskThread
from checkpointd.ledger import State
from checkpointd.retention.newest_valid import is_unchanged_on_disk
from checkpointd.retention.open_files import OpenFiles
from checkpointd.retention.trash import TrashError
from checkpointd.retention.trees import NotUnchangedError
from checkpointd.retention.vault import Vault, to_copy
from checkpointd.worker.limits import lower_priority

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from checkpointd.config import WatchSettings
    from checkpointd.daemon.ledger_records import LedgerRecords
    from checkpointd.ledger import Entry
    from checkpointd.retention import RetentionPlan, Trash, TrashItem
    from checkpointd.retention.vault import Copy

REPLACED = "replaced"
"""The label of what a restored copy took the place of."""


class MissingCopyError(TrashError):
    """The vault has no copy of a path."""


log = structlog.get_logger()


class VaultKeeper:
    """Copies what is valid at paths that are overwritten, one at a time and at low priority.

    `problems` are sentences about what could not be copied.

    Args:
        settings: of the watch.
        records: the ledger.
        trash: takes what is at the path of a copy that is restored.
        digest: returns the digest of a checkpoint's content; empty if it cannot be read.
    """

    def __init__(
        self,
        settings: WatchSettings,
        records: LedgerRecords,
        trash: Trash,
        digest: Callable[[Item], Awaitable[str]],
    ) -> None:
        self.problems: list[str] = []
        self._settings = settings
        self._records = records
        self._trash = trash
        self._digest = digest
        self._vault = Vault(str(settings.path))
        self._thread: DiskThread | None = None

    async def keep(self, planned: RetentionPlan) -> None:
        """Copy what is valid and not copied yet, and delete the copies that are too many.

        Raises:
            OSError: the vault cannot be read or written.
        """
        count = planned.policy.vault
        if count is None or planned.policy.mode != "enforce":
            return
        self.problems = []
        disk = await self._disk()
        for entry in to_copy(planned, await disk(self._vault.items)):
            try:
                copy = await disk(self._vault.copy, entry)
            except NotUnchangedError:  # it is being saved again
                continue
            except TrashError as error:
                self.problems.append(f"Watch {self._settings.name}: {error}.")
                continue
            await self._commit(copy, disk)
        for item in await disk(self._vault.expire, count):
            log.info("deleted from the vault", watch=self._settings.name, path=item.path)

    async def _commit(self, copy: Copy, disk: DiskThread) -> None:
        """Keep a copy if its content has the digest that was verified."""
        entry = copy.entry
        expected = entry.report.facts.digest if entry.report else ""
        digest = await self._digest(Item(copy.checkpoint, copy.generation, time.time()))
        if not expected or digest != expected:
            await disk(self._vault.discard, copy)
            self.problems.append(
                f"Watch {self._settings.name}: the vault has no copy of {entry.path}: what was "
                "copied is not what was verified; it is tried again with the next verdict."
            )
            return
        await disk(self._vault.commit, copy)
        size = entry.generation.size_bytes
        log.info("copied to the vault", watch=self._settings.name, path=entry.path, bytes=size)

    async def bytes(self) -> int:
        """The size of all copies."""
        disk = await self._disk()
        return await disk(self._vault.bytes)

    async def restore(self, path: str) -> TrashItem:
        """Bring the last valid copy of a path back; what is there goes to the trash first.

        Raises:
            TrashError: there is none, or what is at the path must not be moved away.
            OSError: the file system refused.
            LedgerError: the ledger could not be read or written.
        """
        disk = await self._disk()
        return await disk(self._restore, path)

    def close(self) -> None:
        """End the thread; a copy that has begun is finished, or removed by the next start."""
        if self._thread is not None:
            self._thread.close()

    async def _disk(self) -> DiskThread:
        """A thread of its own: its low priority must not slow the trash down."""
        if self._thread is None:
            self._thread = DiskThread(f"vault-{self._settings.name}")
            await self._thread(lower_priority, idle=False)
            await self._thread(self._vault.recover)
        return self._thread

    def _restore(self, path: str) -> TrashItem:
        item = self._vault.newest(path)
        if item is None:
            raise MissingCopyError(f"{path!r} is neither in the trash nor in the vault.")
        entry = self._records.entry(path)
        if entry is not None and entry.state not in (State.GONE, State.TRASHED):
            self._move_away(entry)
        return self._vault.restore(item)

    def _move_away(self, entry: Entry) -> None:
        """Move what is at the path of a copy into the trash."""
        if entry.state is State.VALID and is_unchanged_on_disk(entry):
            raise TrashError(
                f"{entry.path!r} is valid as it is; to bring an older copy back, move it away "
                "first."
            )
        if entry.state not in (State.INVALID, State.INCONCLUSIVE, State.VALID):
            raise TrashError(
                f"{entry.path!r} has no verdict yet: wait for it (`checkpointd wait`), or move "
                "away what is there."
            )
        if OpenFiles.of([entry]).use_of_entry(entry) is not None:
            raise TrashError(f"{entry.path!r} is open in a process: stop that first.")
        reason = "a copy from the vault takes its place"
        moved = self._trash.put(entry, rule=REPLACED, reason=reason, guard=lambda _: None)
        self._records.record_trashed(entry.path, rule=REPLACED, reason=reason, item=moved.id)
