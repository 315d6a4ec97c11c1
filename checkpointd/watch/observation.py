"""One reading of a candidate: what it holds, whether its writer has closed it, how old it is."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from checkpointd.core.format_specs import Format
from checkpointd.formats import LOCAL, Candidate, Probe, ProbeState, member_path, probe
from checkpointd.watch.writers import written_of

if TYPE_CHECKING:
    from checkpointd.core.checkpoint import Generation, Member
    from checkpointd.formats import Storage


@dataclass(frozen=True)
class Observation:
    """One reading of a checkpoint that is not yet decided.

    `closed`: its writer has closed it since. `open`: a process has one of its files open for
    writing. `age`: seconds since anything about its files changed, by the wall clock; None where
    their times cannot be trusted. A time in the future counts as now. `temporary`: the temporary
    files that its writer works on, as they are now. `maybe_damaged`: a checkpoint of several files
    was reported at its path, so that a part that is not whole may be damage, and no save.
    """

    candidate: Candidate
    probe: Probe
    closed: bool = False
    open: bool = False
    age: float | None = None
    temporary: tuple[Member, ...] = ()
    maybe_damaged: bool = False


def observation_of(
    candidate: Candidate,
    probed: Probe,
    *,
    closed: bool,
    trust_times: bool,
    temporary: tuple[Member, ...] = (),
    was_reported: bool = False,
) -> Observation:
    """Return an observation of what was just probed.

    Args:
        candidate: what was found.
        probed: what it holds.
        closed: its writer has closed it, or one of its files.
        trust_times: the times of its files say how long it has not changed.
        temporary: the temporary files that belong to it.
        was_reported: a checkpoint was reported at its path.
    """
    age = None
    if trust_times:
        age = time.time() - _last_change((*candidate.generation.members, *temporary))
    single = closed and is_single_file(candidate)
    return Observation(
        candidate,
        probed,
        single,
        age=age,
        temporary=temporary,
        maybe_damaged=was_reported and not is_single_file(candidate),
    )


def is_single_file(candidate: Candidate) -> bool:
    """Whether closing one file ends the save; writers of several files may pause in between."""
    members = candidate.generation.members
    return len(members) == 1 and not members[0].name


def mark_open_and_closed(observations: dict[str, Observation]) -> None:
    """Mark what a process has open for writing, and complete single files that none has."""
    files = {
        path: [
            (member_path(path, member.name), member)
            for member in observation.candidate.generation.members
        ]
        for path, observation in observations.items()
        if not (observation.probe.certain and is_single_file(observation.candidate))
    }
    written = written_of(member for members in files.values() for member in members)
    for path, members in files.items():
        observation = observations[path]
        if any((member.device, member.inode) in written.opened for _, member in members):
            observations[path] = replace(observation, open=True)
        elif (
            observation.probe.state is ProbeState.COMPLETE
            and is_single_file(observation.candidate)
            and path in written.closed
        ):
            observations[path] = replace(observation, closed=True)


def is_old(generation: Generation, seconds: float) -> bool:
    """Whether no member was written or touched for so long, by this machine's clock."""
    return time.time() - _last_change(generation.members) >= seconds


def _last_change(members: tuple[Member, ...]) -> float:
    """When anything about files changed last, in seconds since the epoch."""
    return max((max(m.mtime_ns, m.ctime_ns) for m in members), default=0) / 1e9


def probe_candidate(
    candidate: Candidate, *, was_reported: bool, storage: Storage = LOCAL
) -> Probe | None:
    """Probe a candidate; None if it is gone or cannot be judged.

    What has the name of a checkpoint, or was reported as one, and cannot be read counts as
    complete: its verification then reports why it cannot be read.
    """
    try:
        return probe(candidate, storage)
    except FileNotFoundError:
        return None
    except OSError:
        if candidate.hint is Format.UNKNOWN and not was_reported:
            return None
        return Probe(ProbeState.COMPLETE, candidate.hint)
