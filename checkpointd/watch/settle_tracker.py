"""Decides when a save is finished, still going on, or never to be finished.

A pure state machine: it receives the time and what was observed, and keeps what is not yet decided.
Any change restarts the clock, one of the temporary files that belong to a save as well; there is no
wait for what the format itself proves, or for a file that is known to be closed, and none is called
torn that a process has open for writing. When a generation was decided before, and is not finished
after all, the clock goes on from its last change; it is reported once more when it has been idle
for a while. What was a whole checkpoint before and is none any more is reported once, too: only a
verification can tell damage from a save that goes on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from checkpointd.formats import Candidate, Probe, ProbeState
from checkpointd.formats.facts import CUT_SHORT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from checkpointd.core.checkpoint import Generation
    from checkpointd.watch.events import SaveState
    from checkpointd.watch.observation import Observation

_TRUNCATED = "structure.truncated"
_REPORT_SECONDS = 5.0
"""What grows is reported so often, with its present size."""

_IDLE_PART = 15
"""What has not changed for this part of `torn_after` is idle: a minute by default."""


@dataclass(frozen=True)
class SettleDecision:
    """What to report of a checkpoint.

    `overdue`: it has not changed for `torn_after`, so its verification must not wait any longer;
    `idle`: it has not changed for a part of that time.
    """

    candidate: Candidate
    probe: Probe
    state: SaveState
    reason: str = ""
    message: str = ""
    overdue: bool = False
    idle: bool = False


@dataclass(frozen=True)
class StepResult:
    """The outcome of one step: decisions, generations written over, the time of the next step."""

    decisions: tuple[SettleDecision, ...]
    coalesced: tuple[str, ...]
    wake_at: float | None


@dataclass
class _Track:
    observation: Observation
    since: float
    closed: bool
    reported: Generation | None = None
    reported_at: float = 0.0

    def is_reported(self, now: float) -> bool:
        """Whether it was reported as being written, as it is or a moment ago."""
        if self.reported is None:
            return False
        is_same = self.reported == _generation(self.observation)
        return is_same or now - self.reported_at < _REPORT_SECONDS


@dataclass(frozen=True)
class _Unchanged:
    key: str
    since: float


@dataclass(frozen=True)
class _Incomplete:
    key: str
    message: str


class SettleTracker:
    """Follows the checkpoints of one watch until each is settled or torn.

    Args:
        settle: seconds without change after which a complete checkpoint counts as finished.
        torn_after: seconds without change after which an incomplete one counts as torn.
    """

    def __init__(self, settle: float, torn_after: float) -> None:
        self._settle = settle
        self._torn_after = torn_after
        self._idle_after = torn_after / _IDLE_PART
        self._tracks: dict[str, _Track] = {}
        self._unchanged: dict[str, _Unchanged] = {}
        self._incomplete: dict[str, _Incomplete] = {}
        self._reported_idle: dict[str, str] = {}

    def __contains__(self, path: str) -> bool:
        return path in self._tracks

    def __len__(self) -> int:
        return len(self._tracks)

    @property
    def pending(self) -> tuple[Candidate, ...]:
        """What is not yet decided, as it was last seen."""
        return tuple(track.observation.candidate for track in self._tracks.values())

    def last(self, path: str) -> Observation | None:
        """Return the last observation of a path that is not yet decided."""
        track = self._tracks.get(path)
        return track.observation if track else None

    def mark_incomplete(self, path: str, key: str, message: str = "") -> None:
        """Treat one generation as incomplete whatever a probe finds: its verification failed."""
        self._incomplete[path] = _Incomplete(key, message)

    def is_marked_incomplete(self, path: str) -> bool:
        """Whether a verification found a generation of a path incomplete, and it is followed."""
        return path in self._incomplete

    def note_unchanged(self, path: str, key: str, since: float) -> None:
        """Note that the generation of this key has not changed since a time of the clock."""
        self._unchanged[path] = _Unchanged(key, since)

    def forget(self, path: str) -> None:
        """Stop following a path."""
        self._tracks.pop(path, None)
        self._incomplete.pop(path, None)

    def note_gone(self, path: str) -> None:
        """Stop following a path at which nothing is any more."""
        self.forget(path)
        self._unchanged.pop(path, None)
        self._reported_idle.pop(path, None)

    def step(self, now: float, observations: Mapping[str, Observation]) -> StepResult:
        """Judge what was just observed, and what has waited long enough.

        Args:
            now: the monotonic clock, in seconds.
            observations: new ones, by path; all other paths keep waiting.
        """
        decisions: list[SettleDecision] = []
        coalesced: list[str] = []
        for path, observation in observations.items():
            track = self._tracks.get(path)
            if track is None:
                track = self._tracks[path] = self._begin(path, observation, now)
            elif _generation(observation) != _generation(track.observation):
                if self._is_complete(track) and _is_written_over(track.observation, observation):
                    coalesced.append(path)
                track.since = now
                track.closed = observation.closed
                track.observation = observation
            else:
                was_closed = track.observation.open and not observation.open
                if was_closed or observation.temporary != track.observation.temporary:
                    track.since = now
                track.closed = track.closed or observation.closed
                track.observation = observation
            decision = self._judge(track, now)
            if decision is None:
                continue
            decisions.append(decision)
            if decision.state == "writing":
                track.reported, track.reported_at = _generation(observation), now
            else:
                key = _generation(observation).key
                self.note_unchanged(path, key, track.since)
                if decision.idle:
                    self._reported_idle[path] = key
                self.forget(path)
        wake_at = min(
            (at for track in self._tracks.values() if (at := self._due(track)) > now), default=None
        )
        return StepResult(tuple(decisions), tuple(coalesced), wake_at)

    def _begin(self, path: str, observation: Observation, now: float) -> _Track:
        """Start the clock at the last change of the files that is known, never later than now."""
        since = now - max(0.0, observation.age or 0.0)
        unchanged = self._unchanged.get(path)
        is_known = unchanged is not None and unchanged.key == _generation(observation).key
        if unchanged is not None and is_known and not observation.temporary:
            since = min(since, unchanged.since)
        return _Track(observation, since, observation.closed)

    def _incomplete_message(self, track: _Track) -> str | None:
        """Return why a verification found this generation incomplete; None if none has."""
        candidate = track.observation.candidate
        incomplete = self._incomplete.get(candidate.path)
        if incomplete is None or incomplete.key != candidate.generation.key:
            return None
        return incomplete.message or "Its content ends before the writer has finished."

    def _is_complete(self, track: _Track) -> bool:
        complete = track.observation.probe.state is ProbeState.COMPLETE
        return complete and self._incomplete_message(track) is None

    def _may_be_damaged(self, track: _Track) -> bool:
        """Whether a verification must still decide about a part that was complete before."""
        seen = track.observation
        return (
            seen.probe.state is ProbeState.INCOMPLETE
            and seen.maybe_damaged
            and not (seen.open or seen.temporary)
            and self._incomplete_message(track) is None
        )

    def _awaits_idleness(self, track: _Track) -> bool:
        """Whether it was found incomplete by a verification that did not know that it is idle."""
        seen = track.observation
        path, key = seen.candidate.path, _generation(seen).key
        return (
            seen.probe.state is ProbeState.COMPLETE
            and not (seen.open or seen.temporary)
            and self._incomplete_message(track) is not None
            and self._reported_idle.get(path) != key
        )

    def _judge(self, track: _Track, now: float) -> SettleDecision | None:
        candidate, probe = track.observation.candidate, track.observation.probe
        overdue = now >= self._torn_at(track)
        idle = now >= self._idle_at(track)
        settled = SettleDecision(candidate, probe, "settled", overdue=overdue, idle=idle)
        if self._may_be_damaged(track) and now - track.since >= self._settle:
            return settled
        if probe.state is ProbeState.COMPLETE:
            message = self._incomplete_message(track)
            calm = probe.certain or track.closed or now - track.since >= self._settle
            if overdue or (calm and message is None and not track.observation.open):
                return settled
            if idle and self._awaits_idleness(track):
                return settled
            reason = ""
        else:
            reason, message = probe.reason or _TRUNCATED, probe.message
            if overdue and not track.observation.open:
                return SettleDecision(candidate, probe, "torn", reason, message, overdue=True)
        if track.is_reported(now):
            return None
        so_far = (message or "").replace(CUT_SHORT, " yet: it is being written.")
        return SettleDecision(candidate, probe, "writing", reason, so_far)

    def _torn_at(self, track: _Track) -> float:
        return track.since + self._torn_after

    def _idle_at(self, track: _Track) -> float:
        return track.since + self._idle_after

    def _due(self, track: _Track) -> float:
        may_settle = self._is_complete(track) and not track.observation.open
        if may_settle or self._may_be_damaged(track):
            return track.since + self._settle
        return self._idle_at(track) if self._awaits_idleness(track) else self._torn_at(track)


def _generation(observation: Observation) -> Generation:
    return observation.candidate.generation


def _is_written_over(before: Observation, after: Observation) -> bool:
    """Whether complete content was replaced, and did not merely grow."""
    old, new = _members(_generation(before)), _members(_generation(after))
    for name, (inode, size, mtime_ns) in old.items():
        if name not in new:
            return True
        new_inode, new_size, new_mtime_ns = new[name]
        if new_inode != inode or new_size < size or (new_size == size and new_mtime_ns != mtime_ns):
            return True
    return False


def _members(generation: Generation) -> dict[str, tuple[int, int, int]]:
    return {m.name: (m.inode, m.size, m.mtime_ns) for m in generation.members}
