"""From listings to sightings: what changed, what is finished, what went.

Used from the watcher's thread only.
"""

from __future__ import annotations

import dataclasses
import os
import time
from typing import TYPE_CHECKING

from checkpointd.core.format_specs import Format
from checkpointd.formats import Candidate, Probe, ProbeState, generation_of, probe
from checkpointd.watch.events import (
    Coalesced,
    GenerationUpdate,
    Gone,
    MetadataChanged,
    SeriesChanged,
    WatchEvent,
)
from checkpointd.watch.reported import Comparison, ReportedGenerations
from checkpointd.watch.scan import describe
from checkpointd.watch.settle_tracker import Observation, SettleDecision, SettleTracker
from checkpointd.watch.writers import files_not_open

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from checkpointd.config import WatchSettings
    from checkpointd.core.checkpoint import Checkpoint, Generation, Member
    from checkpointd.watch.directory_tree import DirectoryTree
    from checkpointd.watch.event_queue import Batch
    from checkpointd.watch.scan import Listing

_LOOK_SECONDS = 0.25
_DOUBTS = 3


class ChangeDetector:
    """What one watch knows of its checkpoints.

    Args:
        settings: the `[[watch]]` of the config.
        known: what was told of each path before (see `ReportedGenerations`).
        emit: who is told.
        tree: the directories below the root.
        series: the series in which each path was placed when it was told.
        alive: called whenever the file system has answered.
    """

    def __init__(
        self,
        settings: WatchSettings,
        known: Mapping[str, str],
        emit: Callable[[WatchEvent], None],
        tree: DirectoryTree,
        *,
        series: Mapping[str, str],
        alive: Callable[[], None],
    ) -> None:
        self.again: set[str] = set()
        self.local = True
        self.last_seconds = 0.0
        self._settings = settings
        self._root = str(settings.path)
        self._emit = emit
        self._alive = alive
        self._tree = tree
        self._memory = ReportedGenerations(known)
        self._series = dict(series)
        self._recorded: set[str] = set()
        self._doubts: dict[str, tuple[Candidate, int]] = {}
        self._fence = SettleTracker(settings.settle, settings.torn_after)
        self._observed: dict[str, Observation] = {}

    @property
    def unknown(self) -> int:
        """How many files there are that are no checkpoints."""
        return self._memory.unknown

    @property
    def knows_any(self) -> bool:
        """Whether any checkpoint was ever told."""
        return self._memory.told > 0 or len(self._fence) > 0

    def refuse(self, path: str, key: str) -> None:
        """Wait on with a generation that was told as settled, if it still is the last told."""
        if self._memory.is_told(path, key):
            self._memory.owe(path)
            self._fence.refuse(path, key)

    def reconcile(
        self, batch: Batch, now: float, *, initial: bool, judge_gone: Callable[[], bool]
    ) -> float | None:
        """Compare everything with the disk.

        Args:
            batch: what came in; it is served on the way.
            now: the monotonic clock.
            initial: the files' own times say how long they have been unchanged.
            judge_gone: asked after the walk, whether what was not there is gone: the root may have
                been unmounted meanwhile.

        Returns:
            When to look again at what is pending, None if nothing is.
        """
        self._take(batch)
        present: set[str] = set()
        for listing in self._tree.reconcile():
            self._consider(listing, batch, initial=initial)
            present.update(found.path for found in listing.found)
        self._look_again(present)
        if judge_gone():
            self._gone(self._all_paths() - present)
        self._series = {}
        return self._decide(now)

    def look(
        self, batch: Batch, now: float, *, pending: bool, judge_gone: Callable[[], bool]
    ) -> float | None:
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
        gone = (before - kept) - present
        if gone and judge_gone():
            self._gone(gone)
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
        return pending.union(self._memory)

    def _consider(self, listing: Listing, batch: Batch, *, initial: bool) -> None:
        self._alive()
        placed_anew = self._tree.learn_stems(listing)
        for found in listing.found:
            self._alive()
            self._note_record(found, listing, initial=initial)
            self._see(found, closed=found.path in batch.closed, initial=initial)
            if found.path in self._memory and (placed_anew or found.path in self._series):
                self._place_anew(found)

    def _note_record(self, found: Candidate, listing: Listing, *, initial: bool) -> None:
        """Have a checkpoint told again to which a golden record came late, as a copy brings it."""
        if found.path not in listing.recorded:
            self._recorded.discard(found.path)
        elif found.path not in self._recorded:
            self._recorded.add(found.path)
            if not initial and found.path in self._memory:
                self.again.add(found.path)

    def _place_anew(self, found: Candidate) -> None:
        """Tell where a path stands that is in another series than the one that was told."""
        checkpoint = self._describe(found, found.hint)
        if self._series.pop(found.path, None) != checkpoint.series:
            self._emit(SeriesChanged(self._settings.name, checkpoint))

    def _describe(self, found: Candidate, known: Format) -> Checkpoint:
        return describe(
            found.path,
            known,
            self._root,
            self._settings.version,
            self._settings.name,
            self._tree.stems(os.path.dirname(found.path)),
        )

    def _see(self, found: Candidate, *, closed: bool = False, initial: bool = False) -> None:
        path, generation = found.path, found.generation
        asked = path in self.again
        if not asked and path not in self._fence and self._memory.is_as_looked_at(path, generation):
            return
        known = self._memory.compare(path, generation)
        unknown = self._memory.is_unknown(path, generation)
        if known in (Comparison.SAME, Comparison.TOUCHED) or (asked and unknown):
            self._fence.forget(path)
            self._stands(found, known, asked=asked)
            return
        if unknown:
            self._memory.settle(path, generation)
            return
        told = path in self._memory or path in self._fence
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
            self._memory.dismiss(path, generation)
            self._doubts[path] = (found, _DOUBTS)
            return
        self._memory.admit(path)
        self._doubts.pop(path, None)
        age = touched = None
        if initial and self.local:
            wall = time.time()
            age = wall - found.generation.saved_at
            touched = wall - max((m.ctime_ns for m in found.generation.members), default=0) / 1e9
        closed = closed and _is_one_file(found)
        self._observed[path] = Observation(found, probed, closed, age, touched)

    def _stands(self, found: Candidate, known: Comparison, *, asked: bool) -> None:
        """Tell of content that has been told before: because it was asked for, or was touched."""
        path = found.path
        if asked:
            if (probed := _probe(found, told=True)) is not None:
                self.again.discard(path)
                overdue = self.local and is_old(found.generation, self._settings.torn_after)
                self._tell(SettleDecision(found, probed, "settled", overdue=overdue))
        elif known is Comparison.TOUCHED:
            self._memory.tell(path, found.generation)
            self._emit(MetadataChanged(self._settings.name, path, found.generation))
        else:
            self._memory.settle(path, found.generation)

    def _look_again(self, present: set[str]) -> None:
        """Look anew at what is pending or was no checkpoint a moment ago."""
        doubts = self._doubts
        self._doubts = {}
        again = [f for f in self._fence.pending if f.path not in present]
        for path, (found, left) in doubts.items():
            if not self._memory.is_unknown(path):
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
                self._see(Candidate(found.path, found.hint, generation))

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

    def _ask_who_writes(self, observed: dict[str, Observation]) -> None:
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
        for path in files_not_open(files):
            observed[path] = dataclasses.replace(observed[path], closed=True)

    def _tell(self, decision: SettleDecision) -> None:
        found = decision.found
        if decision.state != "writing":
            self._memory.tell(found.path, found.generation)
        known = decision.probe.format
        checkpoint = self._describe(found, found.hint if known is Format.UNKNOWN else known)
        self._emit(
            GenerationUpdate(
                self._settings.name,
                checkpoint,
                found.generation,
                decision.state,
                decision.reason,
                decision.message,
                decision.overdue,
            )
        )

    def _gone(self, paths: Iterable[str]) -> None:
        for path in sorted(paths):
            if self._tree.hidden(path):
                continue
            self._doubts.pop(path, None)
            self.again.discard(path)
            self._recorded.discard(path)
            told = self._memory.forget(path) or path in self._fence
            self._fence.forget(path)
            if told:
                self._emit(Gone(self._settings.name, path))


def is_old(generation: Generation, seconds: float) -> bool:
    """Whether nobody has written or touched any member for so long, by this machine's clock."""
    newest = max((max(m.mtime_ns, m.ctime_ns) for m in generation.members), default=0)
    return time.time() - newest / 1e9 >= seconds


def _is_one_file(found: Candidate) -> bool:
    """Whether closing one file ends the save; between the files of others there may be a pause."""
    members = found.generation.members
    return len(members) == 1 and not members[0].name


def _probe(found: Candidate, *, told: bool) -> Probe | None:
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
