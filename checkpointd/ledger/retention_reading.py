"""The queries of the ledger that retention needs: policies, trashes, pins and prunes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from checkpointd.ledger import policies, rows, trashes
from checkpointd.ledger.facts import Pin, Pruned
from checkpointd.ledger.series_reading import SeriesReader

if TYPE_CHECKING:
    from checkpointd.ledger.trashes import KnownTrash, TrashTtl


class RetentionReader(SeriesReader):
    """Queries about policies, trashes, pins and prunes."""

    def largest_bytes(self, watch: str) -> int:
        """The size of the largest valid checkpoint that is in a watch; 0 if none is.

        What has no valid verdict does not count: the size of a file that was extended without
        being written would have the whole trash deleted.
        """
        selected = self._rows(
            "SELECT MAX(size) FROM checkpoints WHERE watch = ? AND state = 'valid'", (watch,)
        )
        return int(selected[0][0] or 0)

    def enforced_policy(self, watch: str) -> str:
        """The digest of the policy that was last carried out in a watch; empty if none was."""
        return self._meta(f"policy:{watch}") or ""

    def trashes(self) -> list[KnownTrash]:
        """Every trash that something was moved to, of watches that are configured or not."""
        selected = self._rows("SELECT value FROM meta WHERE key LIKE 'trash:%' ORDER BY key")
        return [known for (text,) in selected if (known := trashes.load(text)) is not None]

    def trash_ttl(self, watch: str) -> TrashTtl | None:
        """For how long items of the trash of a watch stay; None if that was never recorded."""
        return trashes.load_ttl(self._meta(f"trash_ttl:{watch}"))

    def pins(self) -> list[Pin]:
        """Everything that is pinned, oldest pin first."""
        selected = self._rows("SELECT path, note, at, id FROM pins ORDER BY at, path")
        return [
            Pin(rows.path_text(path), rows.text_of(note), at, identity)
            for path, note, at, identity in selected
        ]

    def prunes(self, watch: str | None = None, limit: int = 100) -> list[Pruned]:
        """What was pruned, newest first."""
        selected = self._rows(
            "SELECT path, watch, at, rule, reason, size, item, restored_at FROM prunes "
            "WHERE ? IS NULL OR watch = ? ORDER BY id DESC LIMIT ?",
            (watch, watch, limit),
        )
        return [
            Pruned(
                path=rows.path_text(path),
                watch=name,
                at=at,
                rule=rule,
                reason=rows.text_of(reason),
                size_bytes=size,
                item=item,
                restored_at=restored_at,
            )
            for path, name, at, rule, reason, size, item, restored_at in selected
        ]

    def policy_records(self, watch: str) -> policies.PolicyRecords:
        """Which retention policies were accepted for a watch."""
        accepted, waiting = (self._meta(f"{kind}:{watch}") for kind in ("accepted", "waiting"))
        dropped = policies.load_dropped(self._meta(f"dropped:{watch}"))
        return policies.PolicyRecords(policies.load(accepted), policies.load(waiting), dropped)

    def last_sequence(self) -> int:
        """The sequence of the generation that was seen last; 0 if none was."""
        return int(self._rows("SELECT COALESCE(MAX(sequence), 0) FROM checkpoints")[0][0])
