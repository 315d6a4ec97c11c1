"""Calls in several threads."""

from __future__ import annotations

import threading

import pytest

from checkpointd.retention.parallel import map_in_threads


@pytest.mark.parametrize("count", [1, 4, 100])
def test_results_are_in_the_order_of_the_items(count: int) -> None:
    """However many threads there are, also more than items."""
    assert map_in_threads(lambda n: n * n, range(20), count) == [n * n for n in range(20)]
    assert map_in_threads(lambda n: n, [], count) == []


def test_the_given_number_of_calls_runs_at_once() -> None:
    """All wait for each other, which one after the other could not."""
    barrier = threading.Barrier(4, timeout=60)
    map_in_threads(lambda _: barrier.wait(), range(8), 4)


def test_an_exception_reaches_the_caller_and_nothing_more_is_begun() -> None:
    """Those that are under way end first."""
    begun: list[int] = []

    def fail(number: int) -> None:
        begun.append(number)
        raise KeyError(number)

    with pytest.raises(KeyError):
        map_in_threads(fail, range(100), 2)
    assert len(begun) <= 4


def test_threads_do_not_keep_the_process_alive() -> None:
    """A disk that hangs must not."""
    found: list[bool] = []
    map_in_threads(lambda _: found.append(threading.current_thread().daemon), range(4), 2)
    assert found == [True] * 4
