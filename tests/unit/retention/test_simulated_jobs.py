"""Random histories of a directory: saves, restarts, copies and clocks that jump.

What such histories found stands in `test_odd_histories` as examples.
"""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.helpers.plans import HOUR
from tests.helpers.simulated_job import DAY, World

JUMPS = (0.0, 0.0, 20.0, -20.0, 2 * HOUR, -2 * HOUR, 400 * DAY, -400 * DAY)

_STEPS = st.one_of(
    st.integers(1, 6).map(lambda n: ("save", n)),
    st.just(("prune", 0)),
    st.just(("prune", 0)),
    st.just(("prune runs", 0)),
    st.integers(0, 8).map(lambda n: ("start again", n)),
    st.integers(0, 20).map(lambda n: ("copy", n)),
    st.integers(0, 20).map(lambda n: ("copy without time", n)),
    st.sampled_from(JUMPS).map(lambda s: ("host", s)),
    st.sampled_from(JUMPS).map(lambda s: ("daemon", s)),
    st.booleans().map(lambda on: ("watch", on)),
)


@settings(max_examples=300, deadline=None)
@given(st.booleans(), st.lists(_STEPS, max_size=40))
def test_what_a_person_would_resume_from_is_never_removed(
    names_repeat: bool, history: list[tuple[str, float]]
) -> None:
    """Whatever clocks, copies and restarts did to the witnesses."""
    World(names_repeat).live_through(history)


def test_an_ordinary_history_is_pruned() -> None:
    """The simulator would notice nothing if every plan kept everything."""
    world = World(names_repeat=True)
    for _ in range(10):
        world.save()
        world.prune(may_remove_runs=False)
    assert sorted(world.disk) == ["/w/ckpt-10", "/w/ckpt-9"]
    world.start_again(0)
    for _ in range(5):
        world.save()
    world.prune(may_remove_runs=False)
    assert sorted(world.disk) == ["/w/ckpt-10", "/w/ckpt-5", "/w/ckpt-6", "/w/ckpt-9"]
