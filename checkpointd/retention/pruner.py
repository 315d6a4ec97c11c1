"""Carries a plan out: everything is checked again right before, and each step can be undone."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

from checkpointd.ledger import LedgerError, State
from checkpointd.retention.disk_errors import explain
from checkpointd.retention.files import is_unchanged, opened_root
from checkpointd.retention.parallel import map_in_threads
from checkpointd.retention.pruning_round import PruningRound
from checkpointd.retention.reference_index import ReferenceIndex
from checkpointd.retention.removal import (
    RefusedError,
    Removal,
    check_floor,
    check_still_planned,
    check_unused,
    undo_named,
)
from checkpointd.retention.trash import (
    Expired,
    NotInTrashError,
    Recovered,
    Trash,
    TrashError,
    TrashItem,
    TrashLimits,
    TrashPlace,
    unknown_items,
)
from checkpointd.retention.trees import NotAloneError, NotUnchangedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from checkpointd.ledger import Entry
    from checkpointd.retention.decision import Decision
    from checkpointd.retention.planning import RetentionPlan
    from checkpointd.retention.pruning_ledger import PruningLedger

RESTORED_NOTE = "restored from the trash"


class Pruner:
    """Removes checkpoints below one root as a plan decided, and restores them.

    Used by one process at a time (`checkpointd.ledger.StateLock`).

    Args:
        root: the watched root, absolute.
        records: the ledger, or a wrapper that calls its thread.
        place: where the trash of the root is; by default inside it.
        on_step: called with the name of each step before it; for fault injection.
        threads: how many removals are under way at once: most of a removal is waiting for the
            disk. More than one needs a thread-safe ledger.
    """

    def __init__(
        self,
        root: str,
        records: PruningLedger,
        place: TrashPlace | None = None,
        *,
        on_step: Callable[[str], None] | None = None,
        threads: int = 1,
    ) -> None:
        self.trash = Trash(root, place, is_trusted=self._is_known, on_step=on_step)
        self._records = records
        self._step = on_step or (lambda _: None)
        self._threads = threads
        self._stopped = threading.Event()

    def stop(self) -> None:
        """Remove and delete nothing more; a move that has begun is finished."""
        self._stopped.set()

    def apply(
        self,
        plan: RetentionPlan,
        references: ReferenceIndex | None = None,
        *,
        policy_changed: bool = False,
    ) -> list[Removal]:
        """Move everything that the plan removes into the trash, oldest first, until stopped.

        Errors of the file system or the ledger are not raised, they are in the results.

        Args:
            plan: what to remove.
            references: those that the plan was made with, so that the root is not walked again.
            policy_changed: whether this is the first round of another policy; what it removes is
                the last to go when the disk is nearly full.
        """
        if not plan.removals:
            return []
        current = PruningRound(
            plan,
            references or ReferenceIndex(self.trash.root),
            policy_changed=policy_changed,
        )
        results = map_in_threads(
            lambda decision: self._unless_stopped(decision, current), plan.removals, self._threads
        )
        return undo_named(results, current, self._undo, "it stays in the trash")

    def _unless_stopped(self, decision: Decision, current: PruningRound) -> Removal | None:
        return None if self._stopped.is_set() else self._remove(decision, current)

    def _undo(self, removal: Removal) -> None:
        self.trash.restore(removal.item)
        self._records.record_restored(removal.entry.path, removal.item)

    def restore(self, path_or_id: str) -> TrashItem:
        """Undo a pruning; what is restored is pinned, or the next pruning would remove it again.

        An item that was left half moved is finished or undone before.

        Raises:
            TrashError: there is no such item, or something is at its path again.
            OSError: the file system refused.
            LedgerError: the ledger could not be written.
        """
        try:
            item = self.trash.find(path_or_id)
        except NotInTrashError:
            back = self._brought_back(path_or_id)
            if back is not None:
                self._records.pin(back.path, RESTORED_NOTE)
                return back
            item = self.trash.find(path_or_id)
        self._records.pin(item.path, RESTORED_NOTE)
        item = self.trash.restore(item.id)
        self._records.record_restored(item.path, item.id)
        return item

    def _brought_back(self, path_or_id: str) -> TrashItem | None:
        """Recover, and return the item if that has restored it to its path."""
        for recovered in self.recover():
            item = recovered.item
            is_back = recovered.outcome in ("undone", "restored")
            if item is not None and is_back and path_or_id in (item.path, item.id):
                return item
        return None

    def recover(self) -> list[Recovered]:
        """Finish or undo what a crash left, and record it in the ledger; called at start.

        What another ledger has put into the trash is not recorded: this one did not decide it.

        Raises:
            OSError: the root or its trash cannot be opened.
            LedgerError: the ledger could not be written.
        """
        results = self.trash.recover()
        for recovered in results:
            item = recovered.item
            entry = self._records.entry(item.path) if item is not None else None
            if item is None or entry is None:
                continue
            is_same = entry.generation.key == item.manifest.generation.key
            if recovered.outcome in ("undone", "restored") and is_same:
                self._records.record_restored(item.path, item.id)
            elif (
                recovered.outcome == "moved"
                and is_same
                and entry.state is not State.TRASHED
                and item.manifest.ledger == self._records.identity
            ):
                self._note_trashed(item, entry)
        return results

    def empty(self, ids: frozenset[str]) -> Expired:
        """Delete some items for good because a person wants that."""
        return self.trash.empty(ids, stopped=self._stopped.is_set)

    def expire(self, limits: TrashLimits) -> Expired:
        """Delete for good the items that are old enough, or whose space the job needs.

        What another ledger put there stays: nobody has decided here that it may go.

        Raises:
            OSError: the trash is there and cannot be read.
            LedgerError: the ledger cannot be read.
        """
        unknown = frozenset(item.id for item in unknown_items(self.trash.place, self._records))
        return self.trash.expire(limits, keep=unknown, stopped=self._stopped.is_set)

    def _is_known(self, item: TrashItem) -> bool:
        """Whether the ledger knows the content of an item at its path."""
        entry = self._records.entry(item.path)
        return entry is not None and entry.generation.key == item.manifest.generation.key

    def _note_trashed(self, item: TrashItem, entry: Entry) -> None:
        manifest = item.manifest
        with opened_root(self.trash.root) as root_fd:
            if is_unchanged(root_fd, manifest.path, entry.checkpoint, entry.generation):
                return
        self._records.record_trashed(
            item.path, rule=manifest.rule, reason=manifest.reason, item=item.id, at=manifest.at
        )

    def _remove(self, decision: Decision, current: PruningRound) -> Removal:
        entry, reason = decision.entry, "; ".join(decision.reasons)
        refusal, suspects, failed = "", tuple[str, ...](), False
        current.begin(entry)
        try:
            check_still_planned(decision, self._records, current.policy)
            item = self.trash.put(
                entry,
                rule=decision.rule,
                reason=reason,
                ledger=current.ledger_identity(self._records),
                guard=lambda dir_fd: self._guard(entry, current, dir_fd),
                policy_changed=current.policy_changed,
            )
        except NotAloneError as error:
            refusal = str(error)
        except NotUnchangedError as error:
            refusal, suspects = f"{error}; it is verified again first", (entry.path,)
        except RefusedError as error:
            refusal, suspects = str(error), error.suspects
        except (TrashError, LedgerError) as error:
            refusal, failed = str(error), True
        except OSError as error:
            refusal, failed = explain(error, entry.path), True
        if refusal:
            current.cancel(entry)
            return Removal(
                entry,
                done=False,
                rule=decision.rule,
                reason=refusal,
                suspects=suspects,
                failed=failed,
            )
        self._step("record")
        try:
            self._records.record_trashed(
                entry.path, rule=decision.rule, reason=reason, item=item.id
            )
        except LedgerError as error:
            reason = f"{reason}; the ledger is updated at the next start ({error})"
        return Removal(
            entry,
            done=True,
            rule=decision.rule,
            reason=reason,
            item=item.id,
            size_bytes=item.manifest.size_bytes,
        )

    def _guard(self, entry: Entry, current: PruningRound, dir_fd: int) -> None:
        """Check right before a removal: no pin, reference or writer, and enough others stay."""
        check_unused(entry, current, self._records, os.path.dirname(entry.path))
        use = current.open_files.use_of(dir_fd, os.path.basename(entry.path), entry.generation)
        if use is not None:
            raise RefusedError(use.value)
        with opened_root(self.trash.root) as root_fd:
            check_floor(
                entry,
                current.others(entry),
                current.policy.keep_min_valid,
                lambda other: self._is_there(root_fd, other),
                "on disk",
            )

    def _is_there(self, root_fd: int, other: Entry) -> bool:
        relative = self.trash.relative(other.path)
        return is_unchanged(root_fd, relative, other.checkpoint, other.generation)
