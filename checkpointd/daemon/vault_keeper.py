"""The vault of one watch in the daemon: copies after a valid verdict, and brings them back."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import structlog

from checkpointd.daemon.fair_queue import Item
from checkpointd.daemon.threads import DiskThread
from checkpointd.retention.trash import TrashError, place_of
from checkpointd.retention.trees import NotUnchangedError
from checkpointd.retention.vault import Vault, copies_to_keep, restore_copy, to_copy
from checkpointd.worker.limits import lower_priority

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from checkpointd.config import WatchSettings
    from checkpointd.daemon.ledger_records import LedgerRecords
    from checkpointd.ledger import Entry
    from checkpointd.retention import Expired, RetentionPlan, Trash, TrashItem

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
        self._vault = Vault(str(settings.path), mode=place_of(settings).mode)
        self._refused: dict[str, str] = {}
        self._recovered = False
        self._thread: DiskThread | None = None

    async def keep(self, planned: RetentionPlan) -> None:
        """Copy what is valid and not copied yet, and delete the copies that are too many.

        Raises:
            OSError: the vault cannot be read or written.
        """
        self.problems = []
        if planned.policy.vault is None or planned.policy.mode != "enforce":
            return
        disk = await self._disk()
        records = await disk(self._records.policy_records, self._settings.name)
        count = copies_to_keep(planned.policy, records)
        await disk(self._vault.adopt)
        for entry in to_copy(planned, await disk(self._vault.items)):
            try:
                await self._copy(entry, disk)
            except NotUnchangedError:  # it is being saved again
                continue
            except OSError as error:
                self._note(f"{entry.path!r} cannot be copied to the vault: {error.strerror}")
            except TrashError as error:
                self._note(str(error))
        for item in await disk(self._vault.expire, count):
            log.info("deleted from the vault", watch=self._settings.name, path=item.path)

    async def _copy(self, entry: Entry, disk: DiskThread) -> None:
        """Copy a checkpoint, and keep the copy if its content has the digest that was verified.

        What failed that once is not copied again before it is saved or verified again.
        """
        expected = await disk(self._records.digest_of, entry)
        attempt = f"{entry.generation.key} {expected}"
        if not expected:
            self._note(
                f"the vault has no copy of {entry.path}: no digest of it was recorded; verify it "
                "again with the check `integrity`"
            )
            return
        if self._refused.get(entry.path) != attempt:
            copy = await disk(self._vault.copy, entry)
            digest = await self._digest(Item(copy.checkpoint, copy.generation, time.time()))
            if digest == expected:
                await disk(self._vault.commit, copy)
                name, size = self._settings.name, entry.generation.size_bytes
                log.info("copied to the vault", watch=name, path=entry.path, bytes=size)
                return
            await disk(self._vault.discard, copy)
            self._refused[entry.path] = attempt
        self._note(
            f"the vault has no copy of {entry.path}: what was copied is not what was verified; "
            f"`checkpointd verify --record {entry.path}` reads it again"
        )

    def _note(self, problem: str) -> None:
        self.problems.append(f"Watch {self._settings.name}: {problem}.")

    def recover(self) -> None:
        """Finish or undo what a crash left, once: later on a copy may be under way; blocking.

        Raises:
            OSError: the vault cannot be read or written.
        """
        if not self._recovered:
            self._vault.recover()
            self._recovered = True

    def restore(self, path_or_id: str) -> TrashItem:
        """Bring a valid copy of a path back; what is there goes to the trash first; blocking.

        Raises:
            TrashError: there is none, or what is at the path must not be moved away.
            OSError: the file system refused.
            LedgerError: the ledger could not be read or written.
        """
        return restore_copy(self._vault, self._trash, self._records, path_or_id)

    async def empty(self, ids: frozenset[str]) -> Expired:
        """Delete copies for good because a person wants that."""
        disk = await self._disk()
        return await disk(self._vault.empty, ids)

    def copies(self) -> list[TrashItem]:
        """All copies, newest first; blocking.

        Raises:
            OSError: the vault is there and cannot be read.
        """
        return self._vault.items()

    def close(self) -> None:
        """End the thread; a copy that has begun is finished, or removed by the next start."""
        if self._thread is not None:
            self._thread.close()

    async def _disk(self) -> DiskThread:
        """A thread of its own: its low priority must not slow the trash down."""
        if self._thread is None:
            self._thread = DiskThread(f"vault-{self._settings.name}")
            await self._thread(lower_priority, idle=False)
        return self._thread
