"""The queue of hooks: what happened, and has not yet been handed to a command of the user.

An event is added in the transaction that records what happened, and leaves when a command has
taken it: so each is handed over at least once, whatever kills the daemon in between. The queue is
bounded: of each watch no more than `writing.MOST_PENDING` wait, and in all `MOST_GIVEN_UP` are kept
that no command has taken.
"""

from __future__ import annotations

import json
import zlib
from collections import Counter
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from checkpointd.ledger import rows
from checkpointd.ledger.trust_writing import TrustWriter
from checkpointd.ledger.writing import WANTED_HOOKS as WANTED

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

_COLUMNS = "id, watch, event, path, payload, queued_at, attempts, next_at, error, given_up"
MOST_GIVEN_UP = 1000
_LATEST_SECONDS = 3600.0
"""No attempt is later than this, whatever the clock was when it was planned."""


@dataclass(frozen=True)
class HookEvent:
    """One event for one hook; times are seconds since the epoch.

    `attempts` have failed so far, the last of them for `error`; the next is due at `next_at`,
    unless it was `given_up`.
    """

    id: int
    watch: str
    event: str
    path: str
    payload: dict[str, Any]
    queued_at: float
    attempts: int = 0
    next_at: float = 0.0
    error: str = ""
    given_up: bool = False

    def to_public(self) -> dict[str, Any]:
        """The object of `hooks list --json`."""
        return {
            "id": self.id,
            "watch": self.watch,
            "event": self.event,
            "path": self.path,
            "queued_at": self.queued_at,
            "attempts": self.attempts,
            "next_at": None if self.given_up else self.next_at,
            "error": self.error,
            "given_up": self.given_up,
        }


@dataclass(frozen=True)
class HookCounts:
    """How many events of a watch wait, and how many no command has taken."""

    pending: int = 0
    given_up: int = 0


class HookQueue(TrustWriter):
    """The ledger's queue of hooks."""

    def hooks(self, watch: str | None = None, *, given_up: bool | None = None) -> list[HookEvent]:
        """The events that wait or were given up, oldest first."""
        selected = self._rows(
            f"SELECT {_COLUMNS} FROM hooks WHERE (? IS NULL OR watch = ?) "  # noqa: S608 - ours
            "AND (? IS NULL OR given_up = ?) ORDER BY id",
            (watch, watch, given_up, given_up),
        )
        return [self._event(row) for row in selected]

    def next_hook(self, watch: str, now: float) -> HookEvent | None:
        """The event of a watch that is handed over next; None if none is due.

        Those that have failed least often come first, so that one bad event holds up no other.
        """
        selected = self._rows(
            f"SELECT {_COLUMNS} FROM hooks WHERE watch = ? AND given_up = 0 "  # noqa: S608 - ours
            "AND (next_at <= ? OR next_at > ?) ORDER BY attempts, id LIMIT 1",
            (watch, now, now + _LATEST_SECONDS),
        )
        return self._event(selected[0]) if selected else None

    def next_hook_at(self, watch: str) -> float | None:
        """When the next event of a watch is due; None if none waits."""
        selected = self._rows(
            "SELECT MIN(next_at) FROM hooks WHERE watch = ? AND given_up = 0", (watch,)
        )
        return None if selected[0][0] is None else float(selected[0][0])

    def hook_counts(self) -> dict[str, HookCounts]:
        """How many events of each watch wait and were given up."""
        selected = self._rows("SELECT watch, given_up, count(*) FROM hooks GROUP BY 1, 2")
        counts = Counter({(watch, bool(over)): count for watch, over, count in selected})
        return {
            watch: HookCounts(counts[watch, False], counts[watch, True])
            for watch in {row[0] for row in selected}
        }

    def set_hooks(self, wanted: dict[str, frozenset[str]]) -> None:
        """Set which events of which watch are queued from now on; others leave the queue."""
        text = json.dumps({watch: sorted(events) for watch, events in sorted(wanted.items())})
        if text != self._meta(WANTED):
            with self._writing():
                self._set_meta(WANTED, text)
        kinds = self._rows("SELECT DISTINCT watch, event FROM hooks")
        over = [kind for kind in kinds if kind[1] not in wanted.get(kind[0], frozenset())]
        if over:
            with self._writing():
                self._connection.executemany(
                    "DELETE FROM hooks WHERE watch = ? AND event = ?", over
                )

    def finish_hook(self, identity: int) -> None:
        """Record that a command has taken an event."""
        with self._writing():
            self._connection.execute("DELETE FROM hooks WHERE id = ?", (identity,))

    def fail_hook(self, identity: int, error: str, next_at: float, *, given_up: bool) -> None:
        """Record that a command has failed with an event, and when it is tried again."""
        with self._writing():
            self._connection.execute(
                "UPDATE hooks SET attempts = attempts + 1, error = ?, next_at = ?, given_up = ? "
                "WHERE id = ?",
                (rows.encode(error), next_at, int(given_up), identity),
            )
            self._connection.execute(
                "DELETE FROM hooks WHERE given_up = 1 AND id NOT IN "
                "(SELECT id FROM hooks WHERE given_up = 1 ORDER BY id DESC LIMIT ?)",
                (MOST_GIVEN_UP,),
            )

    def retry_hooks(self, identities: Collection[int] | None = None) -> int:
        """Make events due again now, all or those with these ids; return how many."""
        chosen = [
            event.id for event in self.hooks() if identities is None or event.id in identities
        ]
        with self._writing():
            self._connection.executemany(
                "UPDATE hooks SET attempts = 0, next_at = 0, given_up = 0 WHERE id = ?",
                [(identity,) for identity in chosen],
            )
        return len(chosen)

    def note_holds(self, watch: str, holds: Iterable[dict[str, Any]]) -> int:
        """Queue an event for each hold of a watch that was not there before; return how many.

        Args:
            watch: the watch's name.
            holds: those that there are now: `series`, `reason`, `message` and `cure`.
        """
        now = {json.dumps([hold["series"], hold["reason"]]): hold for hold in holds}
        key = f"holds:{watch}"
        stored = self._meta(key)
        before = set(json.loads(stored)) if stored else set()
        if before == set(now):
            return 0
        new = [hold for name, hold in now.items() if name not in before]
        with self._writing():
            self._set_meta(key, json.dumps(sorted(now)))
            for hold in new:
                self._queue_hook(watch, "on_hold", "", partial(dict, hold))
        return len(new)

    def _event(self, row: tuple[Any, ...]) -> HookEvent:
        identity, watch, event, path, payload, queued_at, attempts, next_at, error, given_up = row
        try:
            facts = json.loads(zlib.decompress(payload))
        except (ValueError, zlib.error):
            facts = {}
        name = f"{self.identity[:8]}-{identity}"
        return HookEvent(
            id=identity,
            watch=watch,
            event=event,
            path=rows.path_text(path),
            payload={**facts, "event": event, "watch": watch, "hook_id": name},
            queued_at=queued_at,
            attempts=attempts,
            next_at=next_at,
            error=rows.text_of(error),
            given_up=bool(given_up),
        )
