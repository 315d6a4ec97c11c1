"""Which worker of the fleet gets the next checkpoint; pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from checkpointd.dispatch.fleet.messages import Member

AHEAD = 1
"""How many checkpoints wait at a worker, so that it need not wait for the daemon."""

_MEMORY_FACTOR = 3
"""The memory that loading and running a model needs, as a multiple of its checkpoint's size."""


@dataclass
class Load:
    """What a worker has to do: how many checkpoints, and the memory that is set aside for them."""

    count: int = 0
    memory: int = 0


@dataclass
class Tried:
    """Where a checkpoint was tried before: the workers that were lost, and their hosts."""

    members: set[str] = field(default_factory=set)
    hosts: set[str] = field(default_factory=set)

    def add(self, member: Member) -> None:
        """Note that a worker was tried."""
        self.members.add(member.id)
        self.hosts.add(member.host)


def capacity(members: Iterable[Member]) -> int:
    """Return how many checkpoints may be handed out at a time."""
    return sum(member.slots + AHEAD for member in members)


def memory_needed(size: int, member: Member) -> int:
    """Return the bytes of a worker's memory that a checkpoint occupies, at most all of it.

    Args:
        size: of the checkpoint.
        member: the worker.
    """
    return max(1, min(_MEMORY_FACTOR * size, member.memory))


def choose(
    members: Mapping[str, Member],
    loads: Mapping[str, Load],
    size: int,
    tried: Tried,
    *,
    any_worker: bool = False,
) -> Member | None:
    """Return the worker for a checkpoint; None if it has to wait for one.

    Another host than those that were tried, as long as there is one, else another worker; and where
    there is none, after a while (`any_worker`) also the same one.

    Args:
        members: the workers that answer, by id.
        loads: what they have to do, by id.
        size: bytes of the checkpoint.
        tried: where it was tried before.
        any_worker: whether it has waited long enough for another worker.
    """
    others = [one for one in members.values() if one.host not in tried.hosts]
    if not others:
        others = [one for one in members.values() if one.id not in tried.members]
    if not others and any_worker:
        others = list(members.values())
    fitting = [one for one in others if _fits(one, loads.get(one.id, Load()), size)]
    return min(fitting, key=lambda one: _rank(one, loads.get(one.id, Load())), default=None)


def _fits(member: Member, load: Load, size: int) -> bool:
    fits = load.memory + memory_needed(size, member) <= member.memory or not load.count
    return fits and load.count < member.slots + AHEAD


def _rank(member: Member, load: Load) -> tuple[float, int, str]:
    return load.count / member.slots, -member.memory, member.id
