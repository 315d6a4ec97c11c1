"""Compares listings with what was reported, in a watch's thread: what changed, ended or is gone."""

from __future__ import annotations

import dataclasses
import os
import time
from functools import partial
from typing import TYPE_CHECKING

from checkpointd.core.format_specs import Format
from checkpointd.formats import LOCAL, Candidate, Probe, ProbeState, generation_of, temporaries
from checkpointd.watch.events import (
    Coalesced,
    GenerationUpdate,
    Gone,
    MetadataChanged,
    SeriesChanged,
    WatchEvent,
)
from checkpointd.watch.observation import (
    Observation,
    is_old,
    is_single_file,
    mark_open_and_closed,
    observation_of,
    probe_candidate,
)
from checkpointd.watch.rechecks import Rechecks
from checkpointd.watch.reported import GenerationComparison, ReportedGenerations
from checkpointd.watch.scan import describe, next_listing
from checkpointd.watch.settle_tracker import SettleDecision, SettleTracker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from checkpointd.config import WatchSettings
    from checkpointd.core.checkpoint import Checkpoint, Member
    from checkpointd.formats import Storage
    from checkpointd.formats.storage import Entry
    from checkpointd.watch.directory_tree import DirectoryTree
    from checkpointd.watch.event_queue import Batch
    from checkpointd.watch.scan import Listing

_CHECK_SECONDS = 0.25


class ChangeDetector:
    """Follows the checkpoints of one watch and emits an event for each change.

    Args:
        settings: the `[[watch]]` of the config.
        known: what was reported of each path before (see `ReportedGenerations`).
        emit: called with each event.
        tree: the directories below the root.
        series: the series of each path that was reported.
        unchanged: of paths without a verdict: the key of their generation, and its age in seconds.
        on_response: called whenever the file system has responded.
        now: the monotonic clock.
        storage: where the checkpoints are.

    Attributes:
        requested: paths of which the present generation is to be reported once more.
        local: the file system is local, so that its times and open files can be trusted.
        atomic: every file appears as a whole under its name, and its time is when it did: objects.
        last_seconds: how long the last `check` took.
    """

    def __init__(
        self,
        settings: WatchSettings,
        known: Mapping[str, str],
        emit: Callable[[WatchEvent], None],
        tree: DirectoryTree,
        *,
        series: Mapping[str, str],
        unchanged: Mapping[str, tuple[str, float]],
        on_response: Callable[[], None],
        now: float,
        storage: Storage = LOCAL,
    ) -> None:
        self.requested: set[str] = set()
        self.local, self.atomic = storage is LOCAL, storage is not LOCAL
        self._storage = storage
        self._probe = partial(probe_candidate, storage=storage)
        self.last_seconds = 0.0
        self._settings = settings
        self._root = str(settings.path)
        self._emit = emit
        self._on_response = on_response
        self._tree = tree
        self._reported = ReportedGenerations(known)
        self._series = dict(series)
        self._with_record: set[str] = set()
        self._rechecks = Rechecks()
        self._pending = SettleTracker(settings.settle, settings.torn_after)
        for path, (key, age) in unchanged.items():
            self._pending.note_unchanged(path, key, now - age)
        self._observations: dict[str, Observation] = {}
        self._listing = 0
        self._beside: dict[str, list[Entry]] = {}
        self._found_in: dict[str, int] = {}

    @property
    def unknown(self) -> int:
        """The number of files that are not checkpoints."""
        return self._reported.unknown

    @property
    def knows_any(self) -> bool:
        """Whether any checkpoint is known."""
        return self._reported.any_reported or len(self._pending) > 0

    def mark_incomplete(self, path: str, key: str) -> None:
        """Wait again for a generation that was reported as settled, if it still is the last."""
        if self._reported.is_last_reported(path, key):
            self._reported.require_report(path)
            self._pending.mark_incomplete(path, key)

    def reconcile(
        self, batch: Batch, now: float, *, initial: bool, may_report_gone: Callable[[], bool]
    ) -> float | None:
        """Compare everything with the disk.

        Args:
            batch: events and requests, which are handled as well.
            now: the monotonic clock.
            initial: the times of the files say how long they have not changed.
            may_report_gone: called after the walk: whether missing files are gone. The root may
                have been unmounted meanwhile.

        Returns:
            When to check again what is pending; None if nothing is.
        """
        self._listing, self._beside = next_listing(), {}
        self._accept_requests(batch)
        present: set[str] = set()
        for listing in self._tree.reconcile():
            self._process(listing, batch, initial=initial)
            present.update(candidate.path for candidate in listing.candidates)
        self._check_pending(present)
        if may_report_gone():
            known = {candidate.path for candidate in self._pending.pending}.union(self._reported)
            self._report_gone(known - present)
        self._series = {}
        return self._decide(now)

    def check(
        self, batch: Batch, now: float, *, pending: bool, may_report_gone: Callable[[], bool]
    ) -> float | None:
        """Check where something happened and, if `pending`, what is not yet decided."""
        started = time.monotonic()
        self._listing, self._beside = next_listing(), {}
        requested = self._accept_requests(batch)
        wanted = self._tree.directories_to_list(
            batch.touched | requested, batch.directories, requested
        )
        before = set(self._tree.paths(wanted))
        present: set[str] = set()
        for listing in self._tree.refresh(wanted):
            self._process(listing, batch, initial=False)
            present.update(candidate.path for candidate in listing.candidates)
        kept = set(self._tree.paths(wanted)) if before else set()
        gone = (before - kept) - present
        if gone and may_report_gone():
            self._report_gone(gone)
        if pending:
            self._check_pending(present)
        wake_at = self._decide(now)
        self.last_seconds = time.monotonic() - started
        return wake_at

    def _accept_requests(self, batch: Batch) -> set[str]:
        """Record the daemon's requests; return the paths that they are about."""
        for incomplete in batch.incomplete:
            self.mark_incomplete(incomplete.path, incomplete.key)
        self.requested |= batch.requested
        return {incomplete.path for incomplete in batch.incomplete} | batch.requested

    def _process(self, listing: Listing, batch: Batch, *, initial: bool) -> None:
        self._on_response()
        state_file_changed = self._tree.read_state_file(listing)
        for candidate in listing.candidates:
            path = candidate.path
            self._on_response()
            self._check_record(path, listing, initial=initial)
            self._observe(candidate, closed=path in batch.closed, initial=initial)
            if path in self._reported and (state_file_changed or path in self._series):
                self._check_series(candidate)

    def _check_record(self, path: str, listing: Listing, *, initial: bool) -> None:
        """Report a checkpoint again when its golden record appears later, as in a copy."""
        if path not in listing.recorded:
            self._with_record.discard(path)
        elif path not in self._with_record:
            self._with_record.add(path)
            if not initial and path in self._reported:
                self.requested.add(path)

    def _check_series(self, candidate: Candidate) -> None:
        """Report a checkpoint that now belongs to another series.

        One that was known is reported once as well where there are templates: a new one may find
        other metrics and another step in its name, which the ledger compares.
        """
        checkpoint = self._describe(candidate, candidate.hint)
        recorded = self._series.pop(candidate.path, None)
        if recorded != checkpoint.series or self._settings.version:
            self._emit(SeriesChanged(self._settings.name, checkpoint))

    def _describe(self, candidate: Candidate, known: Format) -> Checkpoint:
        path, settings = candidate.path, self._settings
        stems = self._tree.stems(os.path.dirname(path))
        return describe(path, known, self._root, settings.version, settings.name, stems)

    def _observe(
        self, candidate: Candidate, *, closed: bool = False, initial: bool = False
    ) -> None:
        path, generation = candidate.path, candidate.generation
        requested = path in self.requested
        pending = path in self._pending
        if not requested and not pending and self._reported.is_unchanged(path, generation):
            return
        comparison = self._reported.compare(path, generation)
        unknown = self._reported.is_unknown(path, generation)
        if comparison.is_reported or (requested and unknown):
            self._pending.forget(path)
            self._report_unchanged(candidate, comparison, requested=requested)
            return
        if unknown:
            self._reported.mark_seen(path, generation)
            return
        was_reported = path in self._reported or pending
        self.requested.discard(path)
        before = self._pending.last(path)
        if before is not None and before.candidate.generation == generation:
            closed = closed and is_single_file(candidate)
            temporary = self._temporaries(candidate, before.probe)
            self._observations[path] = dataclasses.replace(
                before, closed=closed, open=False, temporary=temporary
            )
            return
        self._found_in[path] = self._listing
        probed = self._probe(candidate, was_reported=was_reported)
        if probed is None:
            return
        if probed.state is ProbeState.UNKNOWN and was_reported:
            # A checkpoint was replaced by something else: a verification reports what it is.
            probed = Probe(ProbeState.COMPLETE, probed.format)
        if probed.state is ProbeState.UNKNOWN:
            self._pending.forget(path)
            self._reported.mark_unknown(path, generation)
            self._rechecks.add(candidate)
            return
        self._reported.clear_unknown(path)
        self._rechecks.discard(path)
        self._observations[path] = observation_of(
            candidate,
            probed,
            closed=closed or self.atomic,
            trust_times=self.atomic or (initial and self.local),
            temporary=self._temporaries(candidate, probed),
            was_reported=path in self._reported,
        )

    def _temporaries(self, candidate: Candidate, probed: Probe) -> tuple[Member, ...]:
        """The temporary files that its writer may still need, where something is missing."""
        marked = self._pending.is_marked_incomplete(candidate.path)
        is_whole = probed.state is ProbeState.COMPLETE and not marked
        return () if is_whole else temporaries(candidate, self._storage, self._beside)

    def _report_unchanged(
        self, candidate: Candidate, comparison: GenerationComparison, *, requested: bool
    ) -> None:
        """Report known content again, if requested or if its metadata changed."""
        path, generation = candidate.path, candidate.generation
        if requested:
            if (probed := self._probe(candidate, was_reported=True)) is not None:
                self.requested.discard(path)
                old = is_old(generation, self._settings.torn_after)
                overdue = old and (self.local or self.atomic)
                self._report(SettleDecision(candidate, probed, "settled", overdue=overdue))
        elif comparison is GenerationComparison.METADATA_CHANGED:
            self._reported.record(path, generation)
            self._emit(MetadataChanged(self._settings.name, path, generation))
        else:
            self._reported.mark_seen(path, generation)

    def _check_pending(self, present: set[str]) -> None:
        """Observe again what is pending, or was not a checkpoint a moment ago."""
        again = (*self._pending.pending, *self._rechecks.next_round(self._reported.is_unknown))
        for candidate in again:
            path = candidate.path
            if path in present:
                continue
            try:
                generation = generation_of(path, candidate.hint, self._storage)
            except (FileNotFoundError, NotADirectoryError):
                if not self._tree.is_unreadable(path):
                    self._report_gone({path})
            except OSError:
                continue
            else:
                self._observe(Candidate(path, candidate.hint, generation))

    def _decide(self, now: float) -> float | None:
        observations, self._observations = self._observations, {}
        if self.local:
            mark_open_and_closed(observations)
        step = self._pending.step(now, observations)
        for path in step.coalesced:
            self._emit(Coalesced(self._settings.name, path))
        for decision in step.decisions:
            self._report(decision)
        if not len(self._pending) and not len(self._rechecks):
            return None
        soon = now + max(_CHECK_SECONDS, min(self._settings.settle, 5.0))
        return soon if step.wake_at is None else max(now, min(soon, step.wake_at))

    def _report(self, decision: SettleDecision) -> None:
        candidate, known = decision.candidate, decision.probe.format
        if decision.state != "writing":
            self._reported.record(candidate.path, candidate.generation)
        checkpoint = self._describe(candidate, candidate.hint if known is Format.UNKNOWN else known)
        self._emit(
            GenerationUpdate(
                self._settings.name,
                checkpoint,
                candidate.generation,
                decision.state,
                decision.reason,
                decision.message,
                overdue=decision.overdue,
                idle=decision.idle,
                listing=self._found_in.get(candidate.path, 0),
            )
        )

    def _report_gone(self, paths: Iterable[str]) -> None:
        for path in sorted(paths):
            if self._tree.is_unreadable(path):
                continue
            self._rechecks.discard(path)
            self.requested.discard(path)
            self._with_record.discard(path)
            was_known = self._reported.forget(path) or path in self._pending
            self._pending.note_gone(path)
            self._found_in.pop(path, None)
            if was_known:
                self._emit(Gone(self._settings.name, path))
