"""From listings to sightings: what changed, what is finished, what went.

It remembers one short key for each path that was told, so that what has not changed costs no
read. Used from the watcher's thread only.
"""

from __future__ import annotations

import dataclasses
import time
from typing import TYPE_CHECKING

from checkpointd.checkpoint import Format
from checkpointd.formats import Found, Probe, ProbeState, generation_of, probe
from checkpointd.watch.events import Coalesced, Gone, Sighting, WatchEvent
from checkpointd.watch.fence import Decision, Fence, Observed
from checkpointd.watch.scan import describe
from checkpointd.watch.writers import not_open

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from checkpointd.checkpoint import Member
    from checkpointd.config.settings import WatchSettings
    from checkpointd.watch.inbox import Batch
    from checkpointd.watch.scan import Listing
    from checkpointd.watch.tree import Tree

_LOOK_SECONDS = 0.25
_DOUBTS = 3


class Sightings:
    """What one watch knows of its checkpoints.

    Args:
        settings: the `[[watch]]` of the config.
        known: the generation key of each path that was told before.
        emit: who is told.
        tree: the directories below the root.
    """

    def __init__(
        self,
        settings: WatchSettings,
        known: Mapping[str, str],
        emit: Callable[[WatchEvent], None],
        tree: Tree,
    ) -> None:
        self.again: set[str] = set()
        self.local = True
        self.last_seconds = 0.0
        self._settings = settings
        self._root = str(settings.path)
        self._emit = emit
        self._tree = tree
        self._keys = dict(known)
        self._unknown: dict[str, str] = {}
        self._doubts: dict[str, tuple[Found, int]] = {}
        self._fence = Fence(settings.settle, settings.torn_after)
        self._observed: dict[str, Observed] = {}

    @property
    def unknown(self) -> int:
        """How many files there are that are no checkpoints."""
        return len(self._unknown)

    @property
    def knows_any(self) -> bool:
        """Whether any checkpoint was ever told."""
        return bool(self._keys) or len(self._fence) > 0

    def refuse(self, path: str, key: str) -> None:
        """Wait on with a generation that was told as settled, if it still is the last told."""
        if self._keys.get(path) == key:
            self._keys[path] = ""  # told and still there, so its going is news
            self._fence.refuse(path, key)

    def reconcile(
        self, batch: Batch, now: float, *, initial: bool, judge_gone: bool
    ) -> float | None:
        """Compare everything with the disk.

        Args:
            batch: what came in; it is served on the way.
            now: the monotonic clock.
            initial: the files' own times say how long they have been unchanged.
            judge_gone: whether what is not there is gone.

        Returns:
            When to look again at what is pending, None if nothing is.
        """
        self._take(batch)
        present: set[str] = set()
        for listing in self._tree.reconcile():
            self._consider(listing, batch, initial=initial)
            present.update(found.path for found in listing.found)
        self._look_again(present)
        if judge_gone:
            self._gone(self._all_paths() - present)
        return self._decide(now)

    def look(self, batch: Batch, now: float, *, pending: bool) -> float | None:
        """Look where something happened and, if `pending`, at what is not yet decided."""
        started = time.monotonic()
        asked = self._take(batch)
        wanted = self._tree.touched_by(batch.touched | asked, batch.directories, asked)
        before: set[str] = set()
        if wanted:
            before = self._paths_of(wanted)
        present: set[str] = set()
        for listing in self._tree.refresh(wanted):
            self._consider(listing, batch, initial=False)
            present.update(found.path for found in listing.found)
        kept = self._paths_of(wanted) if before else set()
        self._gone((before - kept) - present)
        if pending:
            self._look_again(present)
        wake_at = self._decide(now)
        self.last_seconds = time.monotonic() - started
        return wake_at

    def _paths_of(self, wanted: dict[str, bool]) -> set[str]:
        return set(self._tree.paths(wanted))

    def _take(self, batch: Batch) -> set[str]:
        """Note what the daemon asked for; returns the paths that are to be looked at for it."""
        for path, key in batch.refused:
            self.refuse(path, key)
        self.again |= batch.again
        return {path for path, _ in batch.refused} | batch.again

    def _all_paths(self) -> set[str]:
        pending = {found.path for found in self._fence.pending}
        return pending | self._keys.keys() | self._unknown.keys()

    def _consider(self, listing: Listing, batch: Batch, *, initial: bool) -> None:
        for found in listing.found:
            self._see(found, closed=found.path in batch.closed, initial=initial)

    def _see(self, found: Found, *, closed: bool = False, initial: bool = False) -> None:
        path, key = found.path, found.generation.key
        if self._keys.get(path) == key or (path in self.again and self._unknown.get(path) == key):
            self._fence.forget(path)
            if path in self.again and (probed := _probe(found, told=True)) is not None:
                self.again.discard(path)
                self._unknown.pop(path, None)
                self._tell(Decision(found, probed, "settled"))
            return
        if self._unknown.get(path) == key:
            return
        told = path in self._keys or path in self._fence
        self.again.discard(path)
        before = self._fence.last(path)
        if before is not None and before.found.generation == found.generation:
            self._observed[path] = dataclasses.replace(
                before, closed=closed and _is_one_file(found)
            )
            return
        probed = _probe(found, told=told)
        if probed is None:
            return
        if probed.state is ProbeState.UNKNOWN and told:
            # What was told of this path holds no more: a child says what lies there now.
            probed = Probe(ProbeState.COMPLETE, probed.format)
        if probed.state is ProbeState.UNKNOWN:
            self._fence.forget(path)
            self._unknown[path] = key
            self._doubts[path] = (found, _DOUBTS)
            return
        self._unknown.pop(path, None)
        self._doubts.pop(path, None)
        age = touched = None
        if initial and self.local:
            wall = time.time()
            age = wall - found.generation.saved_at
            touched = wall - max((m.ctime_ns for m in found.generation.members), default=0) / 1e9
        closed = closed and _is_one_file(found)
        self._observed[path] = Observed(found, probed, closed, age, touched)

    def _look_again(self, present: set[str]) -> None:
        """Look anew at what is pending or was no checkpoint a moment ago."""
        doubts = self._doubts
        self._doubts = {}
        again = [f for f in self._fence.pending if f.path not in present]
        for path, (found, left) in doubts.items():
            if self._unknown.get(path) is None:
                continue
            if path not in present:
                again.append(found)
            if left > 1:
                self._doubts[path] = (found, left - 1)
        for found in again:
            try:
                generation = generation_of(found.path, found.hint)
            except (FileNotFoundError, NotADirectoryError):
                if not self._tree.hidden(found.path):
                    self._gone({found.path})
            except OSError:
                continue
            else:
                self._see(Found(found.path, found.hint, generation))

    def _decide(self, now: float) -> float | None:
        observed, self._observed = self._observed, {}
        self._ask_who_writes(observed)
        step = self._fence.step(now, observed)
        for path in step.coalesced:
            self._emit(Coalesced(self._settings.name, path))
        for decision in step.decisions:
            self._tell(decision)
        if not len(self._fence) and not self._doubts:
            return None
        soon = now + max(_LOOK_SECONDS, min(self._settings.settle, 5.0))
        return soon if step.wake_at is None else max(now, min(soon, step.wake_at))

    def _ask_who_writes(self, observed: dict[str, Observed]) -> None:
        if not self.local:
            return
        files: list[tuple[str, Member]] = [
            (path, look.found.generation.members[0])
            for path, look in observed.items()
            if look.probe.state is ProbeState.COMPLETE
            and not look.probe.certain
            and not look.closed
            and _is_one_file(look.found)
        ]
        if not files:
            return
        for path in not_open(files):
            observed[path] = dataclasses.replace(observed[path], closed=True)

    def _tell(self, decision: Decision) -> None:
        found = decision.found
        if decision.state != "writing":
            self._keys[found.path] = found.generation.key
        known = decision.probe.format
        checkpoint = describe(
            found.path,
            found.hint if known is Format.UNKNOWN else known,
            self._root,
            self._settings.version,
            self._settings.name,
        )
        self._emit(
            Sighting(
                self._settings.name,
                checkpoint,
                found.generation,
                decision.state,
                decision.reason,
                decision.message,
            )
        )

    def _gone(self, paths: Iterable[str]) -> None:
        for path in sorted(paths):
            if self._tree.hidden(path):
                continue
            self._doubts.pop(path, None)
            self.again.discard(path)
            told = self._keys.pop(path, None) is not None or path in self._fence
            self._fence.forget(path)
            self._unknown.pop(path, None)
            if told:
                self._emit(Gone(self._settings.name, path))


def _is_one_file(found: Found) -> bool:
    """Whether closing one file ends the save; between the files of others there may be a pause."""
    members = found.generation.members
    return len(members) == 1 and not members[0].name and found.hint is not Format.SAVEDMODEL


def _probe(found: Found, *, told: bool) -> Probe | None:
    """Probe a candidate; None if it is away or cannot tell.

    What by its name is a checkpoint, or was one when it was `told`, and cannot be read counts as
    complete: the verification then says why it cannot be read.
    """
    try:
        return probe(found)
    except FileNotFoundError:
        return None
    except OSError:
        if found.hint is Format.UNKNOWN and not told:
            return None
        return Probe(ProbeState.COMPLETE, found.hint)
