"""How far the ledger may be trusted: whether it was lost, put back, or is another root's."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from checkpointd.ledger import rows
from checkpointd.ledger.facts import Pin
from checkpointd.ledger.reading import Reader
from checkpointd.ledger.row_reader import ABSENT_STATES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from checkpointd.ledger.facts import Entry

_AT_ONCE = 500
_UNREAD = (
    "WHERE c.path IN (SELECT path FROM unread) "  # noqa: S608 - our own states
    f"AND +c.watch = ? AND +c.state NOT IN ({ABSENT_STATES})"
)
"""`+` keeps SQLite from going through all of a watch: there are hardly ever any, and it is asked
every few seconds."""


class TrustReader(Reader):
    """Every query about the ledger's own history, and about what copies of it say."""

    @property
    def identity(self) -> str:
        """The random id of this ledger; a new one has another, one put back has the same."""
        return self._meta("identity") or ""

    @property
    def progress(self) -> int:
        """A count that every verdict, pruning and new checkpoint raises, and nothing lowers."""
        selected = self._rows("SELECT COALESCE(SUM(seq), 0) FROM sqlite_sequence")
        return int(selected[0][0])

    @property
    def rebuilt(self) -> bool:
        """Whether the ledger was lost once; see `unconfirmed` for what it still means."""
        return self._meta("rebuilt_at") is not None

    def unconfirmed(self, watch: str) -> bool:
        """Whether retention must hold for a watch, because the ledger was lost.

        It holds until a person has accepted the new one, and all that was saved before it has a
        verdict again; see `Ledger.confirm`.
        """
        return self.rebuilt and self._meta(f"confirmed:{watch}") is None

    def unverified_since_lost(self, watch: str) -> int:
        """How many checkpoints of a watch have no verdict since the ledger was lost."""
        try:
            at = float(self._meta("rebuilt_at") or 0)
        except ValueError:
            at = math.inf
        selected = self._rows(
            "SELECT count(*) FROM checkpoints WHERE watch = ? AND saved_at <= ? "
            "AND state IN ('pending', 'writing', 'superseded')",
            (watch, at),
        )
        return int(selected[0][0])

    def accepted(self, watch: str, name: str) -> str:
        """The digest of a file in a root's records that a person has accepted; empty for none."""
        return self._meta(f"accepted:{name}:{watch}") or ""

    def unread(self, watch: str) -> int:
        """How many checkpoints must be read again, because an older ledger was put back."""
        selected = self._rows(f"SELECT count(*) FROM checkpoints c {_UNREAD}", (watch,))  # noqa: S608 - ours
        return int(selected[0][0])

    def next_unread(self, watch: str) -> Entry | None:
        """One of those, valid ones first; None if there is none."""
        return self._one(f"{_UNREAD} ORDER BY c.state != 'valid', c.id LIMIT 1", (watch,))

    def tags(self) -> list[Pin]:
        """Every tag of every path, oldest first."""
        selected = self._rows("SELECT path, tag, at, id FROM tags ORDER BY at, path, tag")
        return [
            Pin(rows.path_text(path), "", at, identity, tag) for path, tag, at, identity in selected
        ]

    def pins_below(self, root: str) -> list[Pin]:
        """What is pinned and tagged below a root, pins first, the oldest first."""
        start = root.rstrip("/") + "/"
        return [pin for pin in (*self.pins(), *self.tags()) if pin.path.startswith(start)]

    def removed_pins(self, identities: Iterable[str]) -> frozenset[str]:
        """Those of some ids whose pins were removed here."""
        return self._among("SELECT id FROM unpinned WHERE id", identities)

    def unknown_items(self, items: Iterable[str]) -> frozenset[str]:
        """Those items of a trash that this ledger has no record of."""
        items = frozenset(items)
        return items - self._among("SELECT item FROM prunes WHERE item", items)

    def _among(self, statement: str, values: Iterable[str]) -> frozenset[str]:
        """Those of some values that a statement finds, which ends in the column to compare."""
        left, found = list(values), set[str]()
        while left:
            some, left = left[:_AT_ONCE], left[_AT_ONCE:]
            marks = ", ".join("?" * len(some))
            found.update(str(row[0]) for row in self._rows(f"{statement} IN ({marks})", some))
        return frozenset(found)

    def roots(self) -> dict[str, str]:
        """The root of every watch that there ever was, where it was last watched."""
        return {
            str(w): rows.path_text(path) for w, path in self._rows("SELECT watch, path FROM roots")
        }

    def root_of(self, watch: str) -> str:
        """Where the root of a watch was when it was last watched; empty if it never was."""
        selected = self._rows("SELECT path FROM roots WHERE watch = ?", (watch,))
        return rows.path_text(selected[0][0]) if selected else ""
