"""Decides when a save is finished, still going on, or never to be finished.

A pure state machine: it receives the time and what was observed, and keeps only what is not yet
decided. Any change restarts the clock; there is no wait for what the format itself proves, or for
a file that is known to be closed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from checkpointd.formats import Candidate, Probe, ProbeState

if TYPE_CHECKING:
    from collections.abc import Mapping

    from checkpointd.core.checkpoint import Generation
    from checkpointd.watch.events import SaveState
    from checkpointd.watch.observation import Observation

_TRUNCATED = "structure.truncated"


@dataclass(frozen=True)
class SettleDecision:
    """What to report of a checkpoint.

    `overdue`: it has not changed for `torn_after`, so its verification must not wait any longer.
    """

    candidate: Candidate
    probe: Probe
    state: SaveState
    reason: str = ""
    message: str = ""
    overdue: bool = False


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
    calm_since: float
    closed: bool
    writing_reported: bool = False


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
        self._tracks: dict[str, _Track] = {}
        self._incomplete: dict[str, _Incomplete] = {}

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

    def forget(self, path: str) -> None:
        """Stop following a path."""
        self._tracks.pop(path, None)
        self._incomplete.pop(path, None)

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
                track = self._tracks[path] = _begin(observation, now)
            elif _generation(observation) != _generation(track.observation):
                if self._is_complete(track) and _is_written_over(track.observation, observation):
                    coalesced.append(path)
                track.since = track.calm_since = now
                track.closed = observation.closed
                track.observation = observation
            else:
                track.closed = track.closed or observation.closed
                track.observation = observation
            decision = self._judge(track, now)
            if decision is None:
                continue
            decisions.append(decision)
            if decision.state == "writing":
                track.writing_reported = True
            else:
                self.forget(path)
        wake_at = min((self._due(track) for track in self._tracks.values()), default=None)
        return StepResult(tuple(decisions), tuple(coalesced), wake_at)

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

    def _judge(self, track: _Track, now: float) -> SettleDecision | None:
        candidate, probe = track.observation.candidate, track.observation.probe
        overdue = now >= self._torn_at(track)
        if probe.state is ProbeState.COMPLETE:
            message = self._incomplete_message(track)
            finished = probe.certain or track.closed or now - track.since >= self._settle
            if overdue or (finished and message is None):
                return SettleDecision(candidate, probe, "settled", overdue=overdue)
            reason = ""
        else:
            reason, message = probe.reason or _TRUNCATED, probe.message
            if overdue:
                return SettleDecision(candidate, probe, "torn", reason, message, overdue=True)
        if track.writing_reported:
            return None
        return SettleDecision(candidate, probe, "writing", reason, message or "")

    def _torn_at(self, track: _Track) -> float:
        calm = min(self._settle, self._torn_after)
        return max(track.since + self._torn_after, track.calm_since + calm)

    def _due(self, track: _Track) -> float:
        if self._is_complete(track):
            return track.since + self._settle
        return self._torn_at(track)


def _begin(observation: Observation, now: float) -> _Track:
    """Start the clock at the time of the files, never later than now."""
    since = now - max(0.0, observation.age or 0.0)
    touched = observation.touched
    calm_since = since if touched is None else now - max(0.0, touched)
    return _Track(observation, since, calm_since, observation.closed)


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
