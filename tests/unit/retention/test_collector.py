"""The cyclic garbage collector is stopped while plans are made, and only then."""

from __future__ import annotations

import gc
from threading import Barrier, Thread

import pytest

from checkpointd.retention.collector import paused_collector


@paused_collector()
def _fail() -> None:
    assert not gc.isenabled()
    raise ValueError("no plan")


def test_it_runs_again_once_the_last_is_done() -> None:
    """Also where one pause is inside another, and where a plan fails."""
    assert gc.isenabled()
    with paused_collector():
        with pytest.raises(ValueError, match="no plan"):
            _fail()
        assert not gc.isenabled()
    with pytest.raises(ValueError, match="no plan"):
        _fail()
    assert gc.isenabled()


def test_what_was_stopped_before_stays_stopped() -> None:
    """The caller that stopped it decides when it runs again."""
    gc.disable()
    try:
        with paused_collector():
            assert not gc.isenabled()
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_a_thread_that_is_done_does_not_start_it_for_another() -> None:
    """Several watches are planned at the same time."""
    inside, first_is_done = Barrier(2), Barrier(2)
    seen: list[bool] = []

    def first() -> None:
        with paused_collector():
            inside.wait(10)
        first_is_done.wait(10)

    thread = Thread(target=first)
    thread.start()
    with paused_collector():
        inside.wait(10)
        first_is_done.wait(10)
        seen.append(gc.isenabled())
    thread.join()
    assert (seen, gc.isenabled()) == ([False], True)
