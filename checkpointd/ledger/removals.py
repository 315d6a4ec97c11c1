"""What was removed, and what came back: prunings, and how far those in buckets have come."""

from __future__ import annotations

import dataclasses
import time
from typing import TYPE_CHECKING

from checkpointd.core.verdict import Verdict
from checkpointd.ledger import rows
from checkpointd.ledger.bucket_removals import BucketRemoval, RemovalStage, dump, load
from checkpointd.ledger.changes import ChangeKind
from checkpointd.ledger.facts import Entry, Moved, Pruned, State
from checkpointd.ledger.summary_writing import SummaryWriter

if TYPE_CHECKING:
    from collections.abc import Sequence

VERDICTS = {
    Verdict.VALID: State.VALID,
    Verdict.INVALID: State.INVALID,
    Verdict.INCONCLUSIVE: State.INCONCLUSIVE,
}
"""The state of what has a verdict."""


class RemovalStore(SummaryWriter):
    """Records removals and what is restored."""

    def record_trashed(
        self, path: str, *, rule: str, reason: str, item: str, at: float | None = None
    ) -> None:
        """Record that a checkpoint was moved into the trash as `item`; twice counts once."""
        self.record_all_trashed([Moved(path, rule, reason, item, at)])

    def record_all_trashed(self, moved: Sequence[Moved]) -> None:
        """Record several removals in one transaction, and so with one wait for the disk."""
        entries = [self.entry(one.path) for one in moved]
        with self._writing():
            for one, entry in zip(moved, entries, strict=True):
                self._record_moved(one, entry)

    def _record_moved(self, moved: Moved, entry: Entry | None) -> None:
        prune = Pruned(
            path=moved.path,
            watch=entry.checkpoint.watch if entry else "",
            at=time.time() if moved.at is None else moved.at,
            rule=moved.rule,
            reason=moved.reason,
            size_bytes=entry.generation.size_bytes if entry else 0,
            item=moved.item,
        )
        if self._store_prune(prune) and entry is not None:
            about = {"series": entry.checkpoint.series, "step": entry.step}
            facts = {**dataclasses.asdict(prune), **about}
            self._queue_hook(prune.watch, "on_pruned", moved.path, facts.copy)
        self._set_state(ChangeKind.TRASHED, moved.path, State.TRASHED)

    def record_restored(self, path: str, item: str) -> None:
        """Record that a checkpoint was restored from the trash; its verdict is valid again."""
        entry = self.entry(path)
        with self._writing():
            self._connection.execute(
                "UPDATE prunes SET restored_at = ? WHERE item = ?", (time.time(), item)
            )
            if entry is not None and entry.state in (State.TRASHED, State.GONE):
                report = entry.report
                state = VERDICTS[report.verdict] if report else State.PENDING
                self._set_state(ChangeKind.RESTORED, path, state)

    def bucket_removals(self, watch: str | None = None) -> list[BucketRemoval]:
        """The removals from the bucket of a watch, or all of them, newest first."""
        selected = self._rows(
            "SELECT path, stage, body FROM bucket_removals WHERE ? IS NULL OR watch = ? "
            "ORDER BY at DESC, item DESC",
            (watch, watch),
        )
        return [load(path, stage, body) for path, stage, body in selected]

    def put_bucket_removal(self, removal: BucketRemoval) -> None:
        """Record a removal, or another stage of one that is recorded."""
        with self._writing():
            self._put_removal(removal)

    def forget_bucket_removals(self, items: list[str]) -> None:
        """Forget removals that were undone, or cannot be any more."""
        with self._writing():
            self._connection.executemany(
                "DELETE FROM bucket_removals WHERE item = ?", [(item,) for item in items]
            )

    def finish_bucket_removal(self, removal: BucketRemoval) -> None:
        """Record that all objects of a checkpoint are deleted, and so that it was pruned."""
        entry = self.entry(removal.path)
        moved = Moved(removal.path, removal.rule, removal.reason, removal.item, removal.at)
        with self._writing():
            self._put_removal(removal.at_stage(RemovalStage.DONE))
            self._record_moved(moved, entry)

    def _put_removal(self, removal: BucketRemoval) -> None:
        self._connection.execute(
            "INSERT OR REPLACE INTO bucket_removals (item, path, watch, at, stage, body) "
            "VALUES (?, ?, ?, ?, ?, ?)",
            (
                removal.item,
                rows.path_bytes(removal.path),
                removal.watch,
                removal.at,
                str(removal.stage),
                rows.encode(dump(removal)),
            ),
        )
