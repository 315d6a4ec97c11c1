"""Writes pins and tags, where roots are, and what is confirmed of the ledger."""

from __future__ import annotations

import hashlib
import secrets
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from checkpointd.ledger import rows
from checkpointd.ledger.facts import Pin, Pruned
from checkpointd.ledger.writing import Writer

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from checkpointd.ledger.pins import Replay


class TrustWriter(Writer):
    """A ledger that is open for writing, without what the watches and the workers report."""

    is_replacement = False
    """Whether opening it found its predecessor lost or broken, and created a new one."""

    opening_progress = 0
    """`progress` when it was opened, before anything of this process was written."""

    def pin(self, path: str, note: str = "") -> Pin:
        """Protect a path from pruning, whatever is saved there; it need not be known yet."""
        return self._add(Pin(path, note, time.time(), secrets.token_hex(8)))

    def unpin(self, path: str) -> bool:
        """Remove the protection of a path; False if there was none."""
        return self._remove((path, ""))

    def tag(self, path: str, tag: str) -> Pin:
        """Have a path carry a tag, whatever is saved there; it need not be known yet."""
        existing = next((one for one in self.tags() if one.key == (path, tag)), None)
        return existing or self._add(Pin(path, "", time.time(), secrets.token_hex(8), tag))

    def untag(self, path: str, tag: str) -> bool:
        """Take a tag from a path; False if it does not carry it."""
        return self._remove((path, tag))

    def add_pins(self, pins: Iterable[Pin]) -> list[Pin]:
        """Add pins and tags that a copy has, and that were not removed here.

        Returns:
            Those that are new.
        """
        pins = list(pins)
        present = {pin.key for pin in (*self.pins(), *self.tags())}
        removed = self.removed_pins(pin.identity for pin in pins)
        new = [p for p in pins if p.key not in present and p.identity not in removed]
        for pin in new:
            self._pin_file().append(pin, pinned=True)
        if new:
            with self._writing():
                for pin in new:
                    self._store_pin(pin)
        return new

    def begin_root(self, watch: str, path: str, device: int, inode: int) -> list[Pin]:
        """Record where the root of a watch is; what was pinned where it was is pinned here, too.

        It was elsewhere if the watch had another path before, or if the same directory was watched
        under another path: it was renamed, mounted elsewhere, or is reached through a link.

        Returns:
            The pins and tags that are new.
        """
        place = (str(device), str(inode))
        before = {
            rows.path_text(where)
            for name, where, *found in self._rows("SELECT watch, path, device, inode FROM roots")
            if name == watch or tuple(found) == place
        } - {path}
        new = self.add_pins(
            _moved(pin, old, path) for old in sorted(before) for pin in self.pins_below(old)
        )
        with self._writing():
            self._connection.execute(
                "INSERT OR REPLACE INTO roots (watch, path, device, inode) VALUES (?, ?, ?, ?)",
                (watch, rows.path_bytes(path), *place),
            )
        return new

    def confirm(self, watch: str) -> bool:
        """End the hold after a lost ledger, if it was accepted and all has a verdict again.

        Called when the watch has been listed completely.

        Returns:
            Whether this watch has no such hold any more.
        """
        if not self.unconfirmed(watch):
            return True
        if self._meta(f"accepted:rebuilt:{watch}") is None or self.unverified_since_lost(watch):
            return False
        with self._writing():
            self._set_meta(f"confirmed:{watch}", repr(time.time()))
        return True

    def accept(self, watch: str, records: Mapping[str, str], items: Iterable[Pruned] = ()) -> None:
        """Record that a person wants pruning to go on with what this ledger knows of a watch.

        Args:
            watch: the watch's name.
            records: the digest of each file in the root's records that says otherwise, by its name.
            items: what is in the trash and was not known here.
        """
        with self._writing():
            self._set_meta(f"accepted:rebuilt:{watch}", repr(time.time()))
            for name, digest in records.items():
                self._set_meta(f"accepted:{name}:{watch}", digest)
            for item in items:
                self._store_prune(item)

    def mark_unread(self, watch: str, name: str, digest: str) -> int:
        """Require that everything of a watch with a verdict is read again; return how many.

        Args:
            watch: the watch's name.
            name: the file of the root's records that showed that this ledger is an older one.
            digest: of that file; it is taken into account once.
        """
        with self._writing():
            self._set_meta(f"accepted:{name}:{watch}", digest)
            self._connection.execute(
                "INSERT OR IGNORE INTO unread (path) SELECT path FROM checkpoints "
                "WHERE watch = ? AND state IN ('valid', 'invalid', 'inconclusive')",
                (watch,),
            )
        return self.unread(watch)

    def _add(self, pin: Pin) -> Pin:
        self._pin_file().append(pin, pinned=True)
        with self._writing():
            self._store_pin(pin)
        return pin

    def _remove(self, key: tuple[str, str]) -> bool:
        removed = next((one for one in (*self.pins(), *self.tags()) if one.key == key), None)
        if removed is None:
            return False
        self._pin_file().append(removed, pinned=False)
        with self._writing():
            self._remove_pin(key, [removed.identity])
        return True

    def _store_prune(self, prune: Pruned) -> bool:
        """Record a pruning; return whether it was not known yet."""
        stored = self._connection.execute(
            "INSERT INTO prunes (path, watch, at, rule, reason, size, item) "
            "VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (item) DO NOTHING",
            (
                rows.path_bytes(prune.path),
                prune.watch,
                prune.at,
                prune.rule,
                rows.encode(prune.reason),
                prune.size_bytes,
                prune.item,
            ),
        )
        return stored.rowcount > 0

    def _replay_pins(self, replayed: Replay) -> None:
        for key, pinned in replayed.last.items():
            if pinned is None:
                self._remove_pin(key, ())
            else:
                self._store_pin(pinned)
        self._connection.executemany(
            "INSERT OR IGNORE INTO unpinned (id) VALUES (?)", [(one,) for one in replayed.removed]
        )


def _moved(pin: Pin, old: str, new: str) -> Pin:
    """A pin below an old root as it is below the new one; its id follows from both."""
    path = new.rstrip("/") + pin.path[len(old.rstrip("/")) :]
    text = f"{pin.identity}\0{path}".encode("utf-8", "surrogateescape")
    return replace(pin, path=path, id=hashlib.sha256(text).hexdigest()[:16])
