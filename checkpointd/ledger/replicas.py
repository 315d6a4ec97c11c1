"""The copies of checkpoints in buckets: what was copied, where to, and that it was found there.

A row is about one content of one path: that of a later save, or one that was verified as something
else meanwhile, has none. Without a row a checkpoint counts as not copied.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from checkpointd.ledger import rows
from checkpointd.ledger.changes import Change, ChangeKind
from checkpointd.ledger.hook_queue import HookQueue

if TYPE_CHECKING:
    from collections.abc import Iterable

_COLUMNS = "path, watch, destination, url, key, digest, size, objects, at, seen_at"
_PRESENT = (
    "FROM checkpoints c JOIN reports p ON p.id = c.report JOIN replicas r ON r.path = c.path "
    "AND r.key = c.key AND r.digest = p.digest"
)
"""Joins the copy of what is at a path now: the same content, and the same verified digest."""

_CURRENT = f"{_PRESENT} AND r.destination = ?"


@dataclass(frozen=True)
class ReplicaObject:
    """One object of a copy: its key, size, ETag, version, and the SHA-256 of what was sent."""

    key: str
    size: int
    tag: str
    version: str
    sha256: str


@dataclass(frozen=True)
class Replica:
    """A copy of one content of one path; times are seconds since the epoch.

    `key` and `digest` are those of the generation, `destination` is the `to` of its watch, `url`
    where the checkpoint is below it. It was copied at `at`, and last found there at `seen_at`.
    """

    path: str
    watch: str
    destination: str
    url: str
    key: str
    digest: str
    size_bytes: int
    objects: tuple[ReplicaObject, ...]
    at: float
    seen_at: float

    def of_content(self, key: str) -> dict[str, Any] | None:
        """The public object, if this is the copy of a generation with a key; None if it is not."""
        return self.to_public() if self.key == key else None

    def to_public(self) -> dict[str, Any]:
        """The object of `show --json`."""
        return {
            "url": self.url,
            "size_bytes": self.size_bytes,
            "copied_at": self.at,
            "seen_at": self.seen_at,
            "objects": [asdict(one) for one in self.objects],
        }


@dataclass(frozen=True)
class Unreplicated:
    """A valid checkpoint without a copy; its verdict was given at `verified_at`.

    `newest`: no valid one of its series was saved after it.
    """

    id: int
    path: str
    series: str
    size_bytes: int
    saved_at: float
    verified_at: float
    newest: bool = False


class ReplicaTable(HookQueue):
    """The ledger's table of copies."""

    def replica(self, path: str) -> Replica | None:
        """The last copy of a path, of whatever content it had; None if there is none."""
        selected = self._rows(
            f"SELECT {_COLUMNS} FROM replicas WHERE path = ?",  # noqa: S608 - our own names
            (rows.path_bytes(path),),
        )
        return _replica(selected[0]) if selected else None

    def replicas(self, watch: str, destination: str) -> list[Replica]:
        """All copies of a watch below a URL, also of what is not at its path any more."""
        selected = self._rows(
            f"SELECT {_COLUMNS} FROM replicas WHERE watch = ? AND destination = ?",  # noqa: S608
            (watch, destination),
        )
        return [_replica(row) for row in selected]

    def replicated(self, watch: str, destination: str) -> dict[str, float]:
        """The paths whose present content is copied below a URL, and when it was last seen."""
        selected = self._rows(
            f"SELECT c.path, r.seen_at {_CURRENT} WHERE c.watch = ?",
            (destination, watch),
        )
        return {rows.path_text(path): seen_at for path, seen_at in selected}

    def copy_urls(self, watch: str | None = None) -> dict[str, str]:
        """Where the copy is of each path whose present content is copied, wherever that is to."""
        selected = self._rows(
            f"SELECT c.path, r.url {_PRESENT} WHERE ? IS NULL OR c.watch = ?", (watch, watch)
        )
        return {rows.path_text(path): url for path, url in selected}

    def unreplicated(self, watch: str, destination: str) -> list[Unreplicated]:
        """The valid checkpoints of a watch whose present content is not copied below a URL."""
        newest = dict(
            self._rows(
                "SELECT series, MAX(saved_at) FROM checkpoints WHERE watch = ? "
                "AND state = 'valid' GROUP BY series",
                (watch,),
            )
        )
        selected = self._rows(
            "SELECT c.id, c.path, c.series, c.size, c.saved_at, s.finished_at "  # noqa: S608 - ours
            "FROM checkpoints c JOIN reports s ON s.id = c.report "
            f"WHERE c.watch = ? AND c.state = 'valid' AND c.id NOT IN (SELECT c.id {_CURRENT})",
            (watch, destination),
        )
        return [
            Unreplicated(
                number,
                rows.path_text(path),
                rows.text_of(series),
                size,
                saved_at,
                verified_at,
                newest.get(series) == saved_at,
            )
            for number, path, series, size, saved_at, verified_at in selected
        ]

    def replicating_since(self, watch: str, destination: str) -> float:
        """Since when a watch is copied to a URL; now, if it was not until now."""
        stored = self._meta(f"replicate:{watch}")
        before: dict[str, Any] = json.loads(stored) if stored else {}
        if before.get("to") == destination:
            return float(before["since"])
        now = time.time()
        with self._writing():
            self._set_meta(f"replicate:{watch}", json.dumps({"to": destination, "since": now}))
        return now

    def record_replica(self, replica: Replica) -> None:
        """Record that a checkpoint was copied, and read back."""
        with self._writing():
            self._connection.execute(
                f"INSERT OR REPLACE INTO replicas ({_COLUMNS}) "  # noqa: S608 - the same
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    rows.path_bytes(replica.path),
                    replica.watch,
                    replica.destination,
                    replica.url,
                    replica.key,
                    replica.digest,
                    replica.size_bytes,
                    json.dumps([asdict(one) for one in replica.objects]),
                    replica.at,
                    replica.seen_at,
                ),
            )
            self._note_replica(replica.watch, replica.path)

    def record_replicas_seen(
        self, watch: str, destination: str, missing: Iterable[str], at: float
    ) -> None:
        """Record that all copies below a URL were found, but those of the missing paths.

        Those are forgotten: these checkpoints count as not copied.
        """
        gone = [(rows.path_bytes(path), destination) for path in missing]
        with self._writing():
            self._connection.executemany(
                "DELETE FROM replicas WHERE path = ? AND destination = ?", gone
            )
            self._connection.execute(
                "UPDATE replicas SET seen_at = ? WHERE watch = ? AND destination = ?",
                (at, watch, destination),
            )
            self._uncommitted.append(Change(ChangeKind.REPLICATED, watch))

    def _note_replica(self, watch: str, path: str) -> None:
        selected = self._rows(
            "SELECT series FROM checkpoints WHERE path = ?", (rows.path_bytes(path),)
        )
        series = rows.text_of(selected[0][0]) if selected else ""
        self._uncommitted.append(Change(ChangeKind.REPLICATED, watch, series))


def _replica(row: tuple[Any, ...]) -> Replica:
    path, watch, destination, url, key, digest, size, objects, at, seen_at = row
    try:
        parts = tuple(ReplicaObject(**one) for one in json.loads(objects))
    except (TypeError, ValueError):
        parts = ()
    name = rows.path_text(path)
    return Replica(name, watch, destination, url, key, digest, size, parts, at, seen_at)
