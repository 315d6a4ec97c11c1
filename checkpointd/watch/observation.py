"""One reading of a candidate: what it holds, whether its writer has closed it, how old it is."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from checkpointd.core.format_specs import Format
from checkpointd.formats import Candidate, Probe, ProbeState, probe
from checkpointd.watch.writers import files_not_open

if TYPE_CHECKING:
    from checkpointd.core.checkpoint import Generation


@dataclass(frozen=True)
class Observation:
    """One reading of a checkpoint that is not yet decided.

    `closed`: its writer has closed it since. `age` and `touched`: seconds since the newest
    member's content (mtime) and since anything about it (ctime) changed, by the wall clock; None
    where that clock cannot be trusted. A time in the future counts as now.
    """

    candidate: Candidate
    probe: Probe
    closed: bool = False
    age: float | None = None
    touched: float | None = None


def observation_of(
    candidate: Candidate, probed: Probe, *, closed: bool, trust_times: bool
) -> Observation:
    """Return an observation of what was just probed.

    Args:
        candidate: what was found.
        probed: what it holds.
        closed: its writer has closed it, or one of its files.
        trust_times: the times of its files say how long it has not changed.
    """
    age = touched = None
    if trust_times:
        now = time.time()
        age = now - candidate.generation.saved_at
        touched = now - max((m.ctime_ns for m in candidate.generation.members), default=0) / 1e9
    return Observation(candidate, probed, closed and is_single_file(candidate), age, touched)


def is_single_file(candidate: Candidate) -> bool:
    """Whether closing one file ends the save; writers of several files may pause in between."""
    members = candidate.generation.members
    return len(members) == 1 and not members[0].name


def mark_closed(observations: dict[str, Observation]) -> None:
    """Mark complete single files as closed that no process has open for writing."""
    files = [
        (path, observation.candidate.generation.members[0])
        for path, observation in observations.items()
        if observation.probe.state is ProbeState.COMPLETE
        and not observation.probe.certain
        and not observation.closed
        and is_single_file(observation.candidate)
    ]
    if not files:
        return
    for path in files_not_open(files):
        observations[path] = replace(observations[path], closed=True)


def is_old(generation: Generation, seconds: float) -> bool:
    """Whether no member was written or touched for so long, by this machine's clock."""
    newest = max((max(m.mtime_ns, m.ctime_ns) for m in generation.members), default=0)
    return time.time() - newest / 1e9 >= seconds


def probe_candidate(candidate: Candidate, *, was_reported: bool) -> Probe | None:
    """Probe a candidate; None if it is gone or cannot be judged.

    What has the name of a checkpoint, or was reported as one, and cannot be read counts as
    complete: its verification then reports why it cannot be read.
    """
    try:
        return probe(candidate)
    except FileNotFoundError:
        return None
    except OSError:
        if candidate.hint is Format.UNKNOWN and not was_reported:
            return None
        return Probe(ProbeState.COMPLETE, candidate.hint)
