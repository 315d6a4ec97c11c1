"""The fence: when is a save finished, still going on, or never to be finished.

A pure state machine: it is told the time and what was observed, and holds only what is not yet
decided. Whatever changes starts the clock again; nothing is waited for that the format, or
knowing that the writer has closed the file, tells sooner.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from checkpointd.formats import Candidate, Probe, ProbeState

if TYPE_CHECKING:
    from collections.abc import Mapping

    from checkpointd.core.checkpoint import Generation
    from checkpointd.watch.events import SaveState

_TRUNCATED = "structure.truncated"


@dataclass(frozen=True)
class Observation:
    """One look at a checkpoint that is not yet decided.

    `closed`: whoever wrote it has closed it since. `age` and `touched`: seconds since the newest
    member's content (mtime) and since anything about it (ctime) changed by the wall clock; None
    where that clock is not to be trusted with it. A time in the future counts as now.
    """

    found: Candidate
    probe: Probe
    closed: bool = False
    age: float | None = None
    touched: float | None = None


@dataclass(frozen=True)
class SettleDecision:
    """What is to be told of a checkpoint.

    `overdue`: it has not changed for `torn_after`, so whoever reads it need not ask for more time.
    """

    found: Candidate
    probe: Probe
    state: SaveState
    reason: str = ""
    message: str = ""
    overdue: bool = False


@dataclass(frozen=True)
class StepResult:
    """The outcome of one step: what is decided, what was written over, when to look again."""

    decisions: tuple[SettleDecision, ...]
    coalesced: tuple[str, ...]
    wake_at: float | None


@dataclass
class _Track:
    observed: Observation
    since: float
    calm_since: float
    closed: bool
    told: bool = False


class SettleTracker:
    """Watches the checkpoints of one watch until each is settled or torn.

    Args:
        settle: seconds without change after which a complete checkpoint counts as finished.
        torn_after: seconds without change after which an incomplete one counts as torn.
    """

    def __init__(self, settle: float, torn_after: float) -> None:
        self._settle = settle
        self._torn_after = torn_after
        self._tracks: dict[str, _Track] = {}
        self._refused: dict[str, tuple[str, str]] = {}

    def __contains__(self, path: str) -> bool:
        return path in self._tracks

    def __len__(self) -> int:
        return len(self._tracks)

    @property
    def pending(self) -> tuple[Candidate, ...]:
        """What is not yet decided, as it was last seen."""
        return tuple(track.observed.found for track in self._tracks.values())

    def last(self, path: str) -> Observation | None:
        """The last look at a path that is not yet decided."""
        track = self._tracks.get(path)
        return track.observed if track else None

    def refuse(self, path: str, key: str, message: str = "") -> None:
        """Take one generation (its key) for incomplete whatever a probe says: a child read it."""
        self._refused[path] = (key, message)

    def forget(self, path: str) -> None:
        """Stop following a path."""
        self._tracks.pop(path, None)
        self._refused.pop(path, None)

    def step(self, now: float, observed: Mapping[str, Observation]) -> StepResult:
        """Judge what was just observed, and what has waited long enough.

        Args:
            now: the monotonic clock, in seconds.
            observed: a new look at each path that was looked at; the others keep waiting.
        """
        decisions: list[SettleDecision] = []
        coalesced: list[str] = []
        for path, look in observed.items():
            track = self._tracks.get(path)
            if track is None:
                track = self._tracks[path] = _begin(look, now)
            elif look.found.generation != track.observed.found.generation:
                if self._complete(track) and _written_over(track.observed, look):
                    coalesced.append(path)
                track.since = track.calm_since = now
                track.closed = look.closed
                track.observed = look
            else:
                track.closed = track.closed or look.closed
                track.observed = look
            decision = self._judge(track, now)
            if decision is None:
                continue
            decisions.append(decision)
            if decision.state == "writing":
                track.told = True
            else:
                self.forget(path)
        wake_at = min((self._due(track) for track in self._tracks.values()), default=None)
        return StepResult(tuple(decisions), tuple(coalesced), wake_at)

    def _refusal(self, track: _Track) -> str | None:
        found = track.observed.found
        refused = self._refused.get(found.path)
        if refused is None or refused[0] != found.generation.key:
            return None
        return refused[1] or "Its content ends before the writer was done."

    def _complete(self, track: _Track) -> bool:
        return track.observed.probe.state is ProbeState.COMPLETE and self._refusal(track) is None

    def _judge(self, track: _Track, now: float) -> SettleDecision | None:
        found, probe = track.observed.found, track.observed.probe
        overdue = now >= self._torn_at(track)
        refusal = self._refusal(track)
        if probe.state is ProbeState.COMPLETE:
            known = probe.certain or track.closed or now - track.since >= self._settle
            if overdue or (known and refusal is None):
                return SettleDecision(found, probe, "settled", overdue=overdue)
            return (
                None
                if track.told
                else SettleDecision(found, probe, "writing", message=refusal or "")
            )
        reason = probe.reason or _TRUNCATED
        if overdue:
            return SettleDecision(found, probe, "torn", reason, probe.message, overdue=True)
        return (
            None if track.told else SettleDecision(found, probe, "writing", reason, probe.message)
        )

    def _torn_at(self, track: _Track) -> float:
        calm = min(self._settle, self._torn_after)
        return max(track.since + self._torn_after, track.calm_since + calm)

    def _due(self, track: _Track) -> float:
        if self._complete(track):
            return track.since + self._settle
        return self._torn_at(track)


def _begin(look: Observation, now: float) -> _Track:
    """Start the clock: at what the file's own times say, never later than now."""
    since = now - max(0.0, look.age or 0.0)
    calm_since = (
        now - max(0.0, look.age or 0.0) if look.touched is None else now - max(0.0, look.touched)
    )
    return _Track(look, since, calm_since, look.closed)


def _written_over(before: Observation, after: Observation) -> bool:
    """Whether a complete content was replaced, and did not merely grow."""
    was, now = _members(before.found.generation), _members(after.found.generation)
    for name, (inode, size, mtime_ns) in was.items():
        if name not in now:
            return True
        new_inode, new_size, new_mtime_ns = now[name]
        if new_inode != inode or new_size < size or (new_size == size and new_mtime_ns != mtime_ns):
            return True
    return False


def _members(generation: Generation) -> dict[str, tuple[int, int, int]]:
    return {m.name: (m.inode, m.size, m.mtime_ns) for m in generation.members}
