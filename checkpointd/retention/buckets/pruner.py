"""Carries a plan out in a bucket: one conditional delete for each object, and each can be undone.

What is to be deleted is in the ledger before the first delete. The object without which nobody
takes the rest for a checkpoint goes first and comes back last, so that a process that ends midway
leaves nothing that looks complete and is not.
"""

from __future__ import annotations

import errno
import posixpath
import secrets
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from checkpointd.buckets import ObjectChangedError
from checkpointd.buckets.deleting import Fate
from checkpointd.buckets.stores import deleting_store
from checkpointd.ledger import BucketRemoval, LedgerError, RemovalStage, RemovedObject
from checkpointd.retention.parallel import map_in_threads
from checkpointd.retention.pruning_round import PruningRound
from checkpointd.retention.removal import (
    RefusedError,
    Removal,
    check_floor,
    check_still_planned,
    check_unused,
    undo_named,
)
from checkpointd.retention.trash import NotInTrashError, TrashError

if TYPE_CHECKING:
    from collections.abc import Callable

    from checkpointd.buckets.client import StoredObject
    from checkpointd.buckets.deleting import BucketSafety, DeletingStore
    from checkpointd.ledger import Entry
    from checkpointd.retention.buckets.references import BucketReferences
    from checkpointd.retention.buckets.view import BucketView
    from checkpointd.retention.decision import Decision
    from checkpointd.retention.planning import RetentionPlan
    from checkpointd.retention.pruning_ledger import BucketLedger

RESTORED_NOTE = "restored in its bucket"
_LISTED_SECONDS = 15.0
"""The listing may be so old when the others of a series are looked for; deletes are conditional."""


class BucketPruner:
    """Removes checkpoints of one watch from its bucket as a plan decided, and restores them.

    Args:
        watch: the watch's name.
        view: the listing of its root.
        records: the ledger, or a wrapper that calls its thread.
        store: the bucket for deletes; opened when the first is to be made if None.
        on_step: called with the name of each step before it; for fault injection.
        threads: how many removals are under way at once; more than one needs a thread-safe ledger.
    """

    def __init__(
        self,
        watch: str,
        view: BucketView,
        records: BucketLedger,
        *,
        store: DeletingStore | None = None,
        on_step: Callable[[str], None] | None = None,
        threads: int = 1,
    ) -> None:
        self._watch = watch
        self._view = view
        self._records = records
        self._step = on_step or (lambda _: None)
        self._threads = threads
        self._stopped = threading.Event()
        self._opened = store

    @property
    def _store(self) -> DeletingStore:
        """The bucket, opened for deletes when one is to be made.

        Raises:
            OSError: it cannot be used.
        """
        self._opened = self._opened or deleting_store(self._view.root)
        return self._opened

    def safety(self, own: StoredObject | None = None) -> BucketSafety:
        """Ask the store whether its deletes are conditional and can be undone.

        Args:
            own: an object of ours, at which it may show it.

        Raises:
            OSError: it does not answer, or cannot be used.
        """
        return self._store.safety(own)

    def stop(self) -> None:
        """Begin no more removals; one that has begun is finished."""
        self._stopped.set()

    def apply(
        self, plan: RetentionPlan, references: BucketReferences, safety: BucketSafety
    ) -> list[Removal]:
        """Delete everything that the plan removes, oldest first, until stopped.

        Errors of the store or the ledger are not raised, they are in the results.

        Args:
            plan: what to remove.
            references: those that the plan was made with.
            safety: what the store has shown; nothing is deleted without it.
        """
        if not plan.removals or safety.deletes or safety.undo:
            return []
        current = PruningRound(plan, references)
        results = map_in_threads(
            lambda decision: self._unless_stopped(decision, current, safety),
            plan.removals,
            self._threads,
        )
        return undo_named(
            results,
            current,
            self._undo,
            "it could not be brought back: `checkpointd restore` tries again",
        )

    def restore(self, path_or_id: str) -> BucketRemoval:
        """Undo a removal; what is restored is pinned, or the next pruning would remove it again.

        Raises:
            TrashError: there is no such removal, or it cannot be undone.
            OSError: the store refuses or does not answer.
            LedgerError: the ledger could not be written.
        """
        removals = self._records.bucket_removals(self._watch)
        removal = next((r for r in removals if path_or_id in (r.path, r.item)), None)
        if removal is None:
            raise NotInTrashError(
                f"{path_or_id!r} was not removed from {self._view.root!r}: `checkpointd trash "
                "list` shows what was."
            )
        for one in removal.objects:
            fate, undo = self._store.fate_of(one.key, one.condition)
            if fate is Fate.OTHER:
                raise TrashError(
                    f"{removal.path!r} cannot be restored: {one.key!r} is another object now, or "
                    "the store does not have its content any more."
                )
            if fate is Fate.DELETED and undo != one.undo:
                raise TrashError(
                    f"{removal.path!r} cannot be restored: {one.key!r} was deleted once more since."
                )
        self._records.pin(removal.path, RESTORED_NOTE)
        self._bring_back(removal)
        return removal

    def recover(self) -> list[str]:
        """Finish or undo what a crash left; returns a sentence for each; called at start.

        Raises:
            OSError: the store does not answer.
            LedgerError: the ledger could not be read or written.
        """
        messages = []
        for removal in self._records.bucket_removals(self._watch):
            if removal.stage is RemovalStage.DONE:
                continue
            fates = [
                (stored, *self._store.fate_of(stored.key, stored.condition))
                for stored in removal.objects
            ]
            is_any_present = any(fate is Fate.PRESENT for _, fate, _ in fates)
            objects = tuple(
                replace(stored, undo=undo) if fate is Fate.DELETED else stored
                for stored, fate, undo in fates
            )
            removal = replace(removal, objects=objects)  # noqa: PLW2901 - with how to undo it
            if removal.stage is RemovalStage.DELETING and not is_any_present:
                self._records.finish_bucket_removal(removal)
                messages.append(f"{removal.path} had been deleted completely.")
            else:
                self._bring_back(removal)
                is_partial = any(fate is Fate.DELETED for _, fate, _ in fates)
                outcome = "had been deleted in part, and is back" if is_partial else "is as it was"
                messages.append(f"{removal.path} {outcome}.")
        return messages

    def _unless_stopped(
        self, decision: Decision, current: PruningRound, safety: BucketSafety
    ) -> Removal | None:
        return None if self._stopped.is_set() else self._remove(decision, current, safety)

    def _remove(self, decision: Decision, current: PruningRound, safety: BucketSafety) -> Removal:
        entry, reason = decision.entry, "; ".join(decision.reasons)
        refusal, suspects, failed = "", tuple[str, ...](), False
        current.begin(entry)
        try:
            check_still_planned(decision, self._records, current.policy)
            removal = self._intent(entry, decision.rule, reason, safety)
            self._guard(entry, current)
            removal = self._delete(removal, lambda: self._guard(entry, current))
        except ObjectChangedError:
            refusal = "it was written over since it was verified, and stays; it is verified again"
            suspects = (entry.path,)
        except RefusedError as error:
            refusal, suspects = str(error), error.suspects
        except (LedgerError, OSError) as error:
            refusal, failed = getattr(error, "strerror", None) or str(error), True
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
            self._records.finish_bucket_removal(removal)
        except LedgerError as error:
            reason = f"{reason}; the ledger is updated at the next start ({error})"
        return Removal(
            entry,
            done=True,
            rule=decision.rule,
            reason=reason,
            item=removal.item,
            size_bytes=removal.size_bytes,
        )

    def _intent(self, entry: Entry, rule: str, reason: str, safety: BucketSafety) -> BucketRemoval:
        """The record of what is going to be deleted, each object by its identity."""
        self._view.refresh(_LISTED_SECONDS)
        objects = tuple(
            RemovedObject(stored.key, stored.size, self._store.condition_of(stored))
            for stored in self._view.objects_of(entry)
        )
        return BucketRemoval(
            item=f"{int(time.time())}-{secrets.token_hex(8)}",
            path=entry.path,
            watch=self._watch,
            at=time.time(),
            rule=rule,
            reason=reason,
            series=entry.checkpoint.series,
            format=str(entry.checkpoint.format),
            size_bytes=entry.generation.size_bytes,
            generation=entry.generation.key,
            objects=objects,
            undo_seconds=safety.undo_seconds,
        )

    def _delete(self, removal: BucketRemoval, guard: Callable[[], None]) -> BucketRemoval:
        """Delete the objects one by one; all that were deleted come back if one must stay.

        Raises:
            ObjectChangedError: one was written over.
            RefusedError: it would not be safe any more.
            OSError: the store refuses or does not answer.
            LedgerError: the ledger could not be written; nothing was deleted.
        """
        self._step("intend")
        self._records.put_bucket_removal(removal)
        done = list(removal.objects)
        try:
            for place, one in enumerate(removal.objects):
                self._step(f"delete {posixpath.basename(one.key)}")
                try:
                    undo = self._store.delete(one.key, one.condition)
                except ObjectChangedError:
                    raise
                except FileNotFoundError:
                    if place == 0:
                        raise ObjectChangedError(errno.ENOENT, "It is gone", one.key) from None
                    continue  # the job removes it as well
                done[place] = replace(one, undo=undo)
            self._step("guard again")
            guard()
        except (RefusedError, OSError):
            self._step("put back")
            self._bring_back(replace(removal, objects=tuple(done)))
            raise
        return replace(removal, objects=tuple(done))

    def _bring_back(self, removal: BucketRemoval) -> None:
        """Restore what was deleted, in the opposite order, and forget the removal.

        What somebody else has written or deleted meanwhile stays as it is.

        Raises:
            OSError: the store refuses or does not answer; `recover` goes on with it.
            LedgerError: the ledger could not be written; the same.
        """
        self._records.put_bucket_removal(removal.at_stage(RemovalStage.RESTORING))
        for stored in reversed(removal.objects):
            fate, undo = self._store.fate_of(stored.key, stored.condition)
            if fate is Fate.DELETED and undo == (stored.undo or undo):
                self._step(f"restore {posixpath.basename(stored.key)}")
                self._store.restore(stored.key, stored.condition, undo)
        self._step("forget")
        self._records.record_restored(removal.path, removal.item)
        self._records.forget_bucket_removals([removal.item])

    def forget_expired(self) -> None:
        """Forget removals that the store can no longer undo, as far as that is known.

        Raises:
            LedgerError: the ledger could not be read or written.
        """
        removals = self._records.bucket_removals(self._watch)
        if gone := [r.item for r in removals if r.stage is RemovalStage.DONE and r.is_expired]:
            self._records.forget_bucket_removals(gone)

    def _undo(self, removal: Removal) -> None:
        removals = self._records.bucket_removals(self._watch)
        recorded = next((r for r in removals if r.item == removal.item), None)
        if recorded is None:
            raise NotInTrashError(f"{removal.entry.path!r} is not in the ledger any more")
        self._bring_back(recorded)

    def _guard(self, entry: Entry, current: PruningRound) -> None:
        """Check right before a removal: no pin, no reference, and enough other checkpoints stay."""
        check_unused(entry, current, self._records, posixpath.dirname(entry.path))
        check_floor(
            entry,
            current.others(entry),
            current.policy.keep_min_valid,
            self._view.is_unchanged,
            "in the bucket",
        )
