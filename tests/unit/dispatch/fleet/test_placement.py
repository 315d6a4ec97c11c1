"""Which worker gets the next checkpoint."""

from __future__ import annotations

from checkpointd.dispatch.fleet.messages import Member
from checkpointd.dispatch.fleet.placement import Load, Tried, capacity, choose, memory_needed

GIB = 1 << 30
A1 = Member("a" * 32, "a", 2, 8 * GIB, 60.0)
A2 = Member("b" * 32, "a", 2, 8 * GIB, 60.0)
B1 = Member("c" * 32, "b", 2, 8 * GIB, 60.0)
ALL = {one.id: one for one in (A1, A2, B1)}


def tried(*members: Member) -> Tried:
    """Where a checkpoint was tried before."""
    made = Tried()
    for member in members:
        made.add(member)
    return made


def test_the_worker_that_has_least_to_do_is_chosen() -> None:
    """Each has as many places as it verifies at a time, and one more."""
    loads = {A1.id: Load(1, GIB), B1.id: Load(1, GIB)}
    assert choose(ALL, loads, 100, Tried()) is A2
    full = {one: Load(3, GIB) for one in ALL}
    assert choose(ALL, full, 100, Tried()) is None
    assert capacity(ALL.values()) == 9


def test_a_large_checkpoint_gets_a_host_for_itself() -> None:
    """It occupies all the memory of the worker, beside which nothing fits."""
    assert memory_needed(10 * GIB, A1) == A1.memory
    one = {A1.id: A1}
    assert choose(one, {}, 10 * GIB, Tried()) is A1
    assert choose(one, {A1.id: Load(1, GIB)}, 10 * GIB, Tried()) is None
    assert choose(one, {A1.id: Load(1, A1.memory)}, 100, Tried()) is None


def test_a_second_try_goes_to_another_host_and_waits_for_it_if_it_is_busy() -> None:
    """Another worker of the same host could be lost for the same reason."""
    assert choose(ALL, {}, 100, tried(A1)) is B1
    assert choose(ALL, {B1.id: Load(3, GIB)}, 100, tried(A1)) is None


def test_where_there_is_no_other_host_another_worker_is_taken_and_at_last_the_same() -> None:
    """A fleet of one host can still try twice."""
    assert choose({A1.id: A1, A2.id: A2}, {}, 100, tried(A1)) is A2
    assert choose({A1.id: A1}, {}, 100, tried(A1)) is None
    assert choose({A1.id: A1}, {}, 100, tried(A1), any_worker=True) is A1
