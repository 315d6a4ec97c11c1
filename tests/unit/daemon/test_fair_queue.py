"""The queue: fair between watches, newest first, nobody starves."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from checkpointd.core.checkpoint import Checkpoint, Generation, Member
from checkpointd.core.format_specs import Format
from checkpointd.daemon.fair_queue import Item, Queue


def make_item(watch: str, name: str, saved: int, since: float = 0.0) -> Item:
    """An item of one file of 10 bytes, saved at `saved` seconds."""
    member = Member("", 1, 1, 10, saved * 10**9, saved * 10**9)
    checkpoint = Checkpoint(f"/{watch}/{name}", Format.HDF5, watch=watch, series=name)
    return Item(checkpoint, Generation((member,)), since)


def drain(queue: Queue) -> list[Item]:
    """Everything in the order in which it would be verified."""
    items = []
    while (item := queue.pop()) is not None:
        items.append(item)
    return items


def test_the_newest_of_a_watch_goes_first_and_every_fourth_turn_the_oldest() -> None:
    """Newest first, but the one that waits longest gets its turn too."""
    queue = Queue()
    for saved in range(1, 9):
        queue.push(make_item("a", f"m{saved}", saved))
    order = [int(item.generation.saved_at) for item in drain(queue)]
    assert order[:4] == [8, 7, 6, 1]


def test_a_burst_in_one_watch_does_not_starve_another() -> None:
    """Watches take turns, whatever waits in each."""
    queue = Queue()
    for saved in range(1, 101):
        queue.push(make_item("burst", f"m{saved}", saved))
    queue.push(make_item("quiet", "m", 1))
    assert "quiet" in [item.checkpoint.watch for item in (queue.pop(), queue.pop()) if item]


def test_a_newer_generation_takes_the_place_of_the_older_one() -> None:
    """Only the present content of a path waits; the one that it replaced is counted."""
    queue = Queue()
    assert not queue.push(make_item("a", "best.h5", 1))
    assert queue.push(make_item("a", "best.h5", 2))
    assert not queue.push(make_item("a", "best.h5", 2))
    assert [int(i.generation.saved_at) for i in drain(queue)] == [2]


def test_what_is_gone_is_not_verified() -> None:
    """A path or a watch that was dropped leaves the queue."""
    queue = Queue()
    queue.push(make_item("a", "x", 1))
    queue.push(make_item("b", "y", 1))
    queue.drop("a", "/a/x")
    queue.drop_watch("b")
    queue.drop("c", "/c/never")
    assert len(queue) == 0
    assert queue.pop() is None
    assert queue.oldest_since is None


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 20), st.integers(1, 99))))
def test_everything_pushed_comes_out_exactly_once(pushes: list[tuple[str, int, int]]) -> None:
    """No path is lost and none comes twice, whatever the order of pushing."""
    queue = Queue()
    for watch, name, saved in pushes:
        queue.push(make_item(watch, str(name), saved))
    paths = [item.checkpoint.path for item in drain(queue)]
    assert sorted(paths) == sorted({f"/{w}/{n}" for w, n, _ in pushes})
