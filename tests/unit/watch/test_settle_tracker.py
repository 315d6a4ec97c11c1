"""When a save is settled, still being written, or torn."""

from __future__ import annotations

import dataclasses
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checkpointd.core.checkpoint import Generation, Member
from checkpointd.core.format_specs import Format
from checkpointd.formats import Candidate, Probe, ProbeState
from checkpointd.formats.facts import incomplete
from checkpointd.formats.zipfiles import truncated
from checkpointd.watch.observation import Observation, observation_of
from checkpointd.watch.settle_tracker import SettleDecision, SettleTracker

PATH = "/r/m.h5"
WHOLE = Probe(ProbeState.COMPLETE, Format.HDF5)
CERTAIN = Probe(ProbeState.COMPLETE, Format.HDF5, certain=True)
CUT = Probe(ProbeState.INCOMPLETE, Format.HDF5, "structure.truncated", "It ends early.")


def found(size: int = 1, *, inode: int = 1, mtime: int = 1) -> Candidate:
    """One file with an identity."""
    return Candidate(PATH, Format.HDF5, Generation((Member("", 1, inode, size, mtime, mtime),)))


def observed(probe: Probe = WHOLE, size: int = 1, **rest: object) -> Observation:
    """One observation of that file."""
    return dataclasses.replace(Observation(found(size), probe), **rest)


def states(decisions: tuple[SettleDecision, ...]) -> list[str]:
    """The states that were decided."""
    return [decision.state for decision in decisions]


@pytest.fixture
def tracker() -> SettleTracker:
    """A tracker with the default times."""
    return SettleTracker(settle=5.0, torn_after=900.0)


def test_a_format_that_proves_its_end_is_settled_at_once(tracker: SettleTracker) -> None:
    """There is no wait for what the format itself proves."""
    step = tracker.step(0.0, {PATH: observed(CERTAIN)})
    assert states(step.decisions) == ["settled"]
    assert step.wake_at is None
    assert PATH not in tracker


def test_a_file_that_its_writer_closed_is_settled_at_once(tracker: SettleTracker) -> None:
    """Complete and known to be closed needs no settle time."""
    assert states(tracker.step(0.0, {PATH: observed(closed=True)}).decisions) == ["settled"]


def test_closing_an_unfinished_file_settles_nothing(tracker: SettleTracker) -> None:
    """A writer that was killed closes its file too."""
    assert states(tracker.step(0.0, {PATH: observed(CUT, closed=True)}).decisions) == ["writing"]


def test_a_file_that_looks_complete_is_settled_after_the_delay(tracker: SettleTracker) -> None:
    """Without a better sign, unchanged for `settle` seconds is the sign."""
    first = tracker.step(10.0, {PATH: observed()})
    assert states(first.decisions) == ["writing"]
    assert first.wake_at == 15.0
    assert tracker.step(14.9, {PATH: observed()}).decisions == ()
    assert states(tracker.step(15.0, {PATH: observed()}).decisions) == ["settled"]


def test_every_change_starts_the_clock_again(tracker: SettleTracker) -> None:
    """A writer that pauses for less than the settle delay is still writing."""
    tracker.step(0.0, {PATH: observed(size=1)})
    tracker.step(4.0, {PATH: observed(size=2)})
    assert states(tracker.step(8.0, {PATH: observed(size=2)}).decisions) == ["writing"]
    assert states(tracker.step(9.0, {PATH: observed(size=2)}).decisions) == ["settled"]


def test_an_unfinished_file_is_torn_only_after_torn_after(tracker: SettleTracker) -> None:
    """Incomplete and unchanged is torn when it has been so for `torn_after`, with the reason."""
    tracker.step(0.0, {PATH: observed(CUT)})
    assert tracker.step(899.0, {PATH: observed(CUT)}).decisions == ()
    (torn,) = tracker.step(900.0, {PATH: observed(CUT)}).decisions
    assert (torn.state, torn.reason, torn.message) == (
        "torn",
        "structure.truncated",
        "It ends early.",
    )


def test_a_file_without_its_end_is_called_cut_short_only_when_nobody_writes_it(
    tracker: SettleTracker,
) -> None:
    """A running save looks the same as one that was killed."""
    probe = incomplete(Format.KERAS, truncated(500))
    (writing,) = tracker.step(0.0, {PATH: observed(probe)}).decisions
    assert writing.message == (
        "The archive has 500 bytes and no central directory yet: it is being written."
    )
    (torn,) = tracker.step(900.0, {PATH: observed(probe)}).decisions
    assert torn.message.endswith("no central directory: the save was cut short.")


def test_an_old_file_is_settled_at_first_sight(tracker: SettleTracker) -> None:
    """A file older than the daemon need not wait again."""
    assert states(tracker.step(0.0, {PATH: observed(age=6.0)}).decisions) == ["settled"]


def test_an_old_incomplete_file_is_torn_at_first_sight(tracker: SettleTracker) -> None:
    """A save that was never finished before the daemon started is torn at once."""
    assert states(tracker.step(0.0, {PATH: observed(CUT, age=901.0)}).decisions) == ["torn"]


def test_a_copy_that_keeps_old_times_is_not_torn_while_it_runs(tracker: SettleTracker) -> None:
    """`cp -a` of an old SavedModel gives old mtimes and new ctimes: the newer one counts."""
    member = Member("", 1, 1, 1, mtime_ns=10**18, ctime_ns=time.time_ns())
    candidate = Candidate(PATH, Format.HDF5, Generation((member,)))
    seen = observation_of(candidate, CUT, closed=False, trust_times=True)
    assert states(tracker.step(0.0, {PATH: seen}).decisions) == ["writing"]
    assert tracker.step(890.0, {PATH: seen}).decisions == ()
    assert states(tracker.step(901.0, {PATH: seen}).decisions) == ["torn"]


def test_what_was_decided_too_early_is_torn_by_its_last_change(tracker: SettleTracker) -> None:
    """A verification that finds it unfinished does not restart the wait."""
    tracker.step(0.0, {PATH: observed()})
    assert states(tracker.step(5.0, {PATH: observed()}).decisions) == ["settled"]
    tracker.mark_incomplete(PATH, found().generation.key)
    assert states(tracker.step(50.0, {PATH: observed()}).decisions) == ["writing"]
    assert states(tracker.step(600.0, {PATH: observed()}).decisions) == ["settled"]
    tracker.mark_incomplete(PATH, found().generation.key)
    assert states(tracker.step(601.0, {PATH: observed()}).decisions) == ["writing"]
    (decided,) = tracker.step(900.0, {PATH: observed()}).decisions
    assert (decided.state, decided.overdue) == ("settled", True)


def test_a_restart_does_not_begin_the_wait_anew(tracker: SettleTracker) -> None:
    """What the ledger knows of this very generation counts, and of another one it does not."""
    tracker.note_unchanged(PATH, found().generation.key, since=-901.0)
    assert states(tracker.step(0.0, {PATH: observed(CUT)}).decisions) == ["torn"]
    tracker.note_unchanged(PATH, found().generation.key, since=-901.0)
    assert states(tracker.step(0.0, {PATH: observed(CUT, size=2)}).decisions) == ["writing"]


def test_what_is_open_for_writing_is_neither_settled_nor_torn(tracker: SettleTracker) -> None:
    """A writer that pauses with its file open has not finished, however long it takes."""
    tracker.step(0.0, {PATH: observed(CUT, open=True)})
    assert tracker.step(1e6, {PATH: observed(CUT, open=True)}).decisions == ()
    assert tracker.step(1e6, {PATH: observed(CUT, open=True)}).wake_at is None, "it would spin"
    assert tracker.step(1e6, {PATH: observed(CUT)}).decisions == (), "it was closed just now"
    assert states(tracker.step(1e6 + 900, {PATH: observed(CUT)}).decisions) == ["torn"]


def test_what_looks_complete_and_is_open_waits_for_torn_after(tracker: SettleTracker) -> None:
    """It may have been flushed in the middle; there is nothing to do at `settle`."""
    tracker.step(0.0, {PATH: observed(open=True)})
    step = tracker.step(899.0, {PATH: observed(open=True)})
    assert (step.decisions, step.wake_at) == ((), 900.0)


def test_a_file_that_is_kept_open_is_judged_in_the_end(tracker: SettleTracker) -> None:
    """A job that forgets to close a file that is whole gets its verdict after `torn_after`."""
    tracker.step(0.0, {PATH: observed(open=True)})
    assert states(tracker.step(900.0, {PATH: observed(open=True)}).decisions) == ["settled"]


def test_temporary_files_that_change_restart_the_clock(tracker: SettleTracker) -> None:
    """A large member that arrives under a temporary name leaves the others alone for long."""
    for now in (0, 800, 1600, 2400):
        part = Member("/.big.a1B2c3", 1, 2, size=now, mtime_ns=now, ctime_ns=now)
        assert "torn" not in states(
            tracker.step(float(now), {PATH: observed(CUT, temporary=(part,))}).decisions
        )
    assert states(tracker.step(3300.0, {PATH: observed(CUT, temporary=(part,))}).decisions) == [
        "torn"
    ]


def test_a_time_in_the_future_waits_by_the_monotonic_clock(tracker: SettleTracker) -> None:
    """A clock that was set back makes nothing wait for longer than `settle`."""
    tracker.step(0.0, {PATH: observed(age=-1e9)})
    assert states(tracker.step(5.0, {PATH: observed()}).decisions) == ["settled"]


def test_what_grows_is_reported_every_few_seconds_with_its_size(tracker: SettleTracker) -> None:
    """Not with every change, and not if nothing changes."""
    decided = [
        (t, decision.state, decision.candidate.generation.size_bytes)
        for t in range(60)
        for decision in tracker.step(float(t), {PATH: observed(CUT, size=min(t, 12))}).decisions
    ]
    assert decided == [(t, "writing", min(t, 12)) for t in (0, 5, 10, 15)]


def test_a_generation_marked_incomplete_waits_until_it_changes(
    tracker: SettleTracker,
) -> None:
    """Only its verification could find that the content ends early."""
    tracker.mark_incomplete(PATH, found(1).generation.key)
    assert states(tracker.step(0.0, {PATH: observed(CERTAIN, size=1)}).decisions) == ["writing"]
    assert states(tracker.step(1.0, {PATH: observed(CERTAIN, size=2)}).decisions) == ["settled"]


def test_an_incomplete_generation_that_never_changes_is_settled_in_the_end(
    tracker: SettleTracker,
) -> None:
    """After `torn_after` its verification decides, and cannot ask for more time."""
    tracker.mark_incomplete(PATH, found(1).generation.key)
    tracker.step(0.0, {PATH: observed(CERTAIN)})
    assert states(tracker.step(60.0, {PATH: observed(CERTAIN)}).decisions) == ["settled"]
    tracker.mark_incomplete(PATH, found(1).generation.key)
    assert states(tracker.step(61.0, {PATH: observed(CERTAIN)}).decisions) == ["writing"]
    assert tracker.step(899.0, {PATH: observed(CERTAIN)}).decisions == ()
    (settled,) = tracker.step(900.0, {PATH: observed(CERTAIN)}).decisions
    assert (settled.state, settled.overdue) == ("settled", True)


def test_an_old_checkpoint_is_overdue_and_a_new_one_is_not(
    tracker: SettleTracker,
) -> None:
    """Whether its verification may ask for more time is known from the first observation on."""
    (old,) = tracker.step(0.0, {PATH: observed(CERTAIN, age=1e6)}).decisions
    (new,) = tracker.step(0.0, {"/w/new.h5": observed(CERTAIN)}).decisions
    assert (old.overdue, new.overdue) == (True, False)


def test_a_complete_generation_written_over_unread_is_coalesced(tracker: SettleTracker) -> None:
    """Two saves within the settle delay: the first counts as lost, the second is reported."""
    tracker.step(0.0, {PATH: Observation(found(9, inode=1), WHOLE)})
    step = tracker.step(1.0, {PATH: Observation(found(9, inode=2), WHOLE)})
    assert step.coalesced == (PATH,)


def test_a_file_that_grows_is_not_coalesced(tracker: SettleTracker) -> None:
    """One save in several writes is one save."""
    tracker.step(0.0, {PATH: observed(size=1)})
    assert tracker.step(1.0, {PATH: observed(size=2)}).coalesced == ()
    assert tracker.step(2.0, {PATH: observed(CUT, size=3)}).coalesced == ()
    assert tracker.step(3.0, {PATH: observed(CUT, size=1)}).coalesced == ()


moments = st.lists(
    st.tuples(
        st.floats(0.01, 400.0),
        st.integers(1, 3),
        st.sampled_from([WHOLE, CUT, CERTAIN]),
        st.booleans(),
    ),
    min_size=1,
    max_size=40,
)


@given(moments)
def test_only_complete_files_settle_and_only_unchanged_incomplete_ones_are_torn(
    story: list[tuple[float, int, Probe, bool]],
) -> None:
    """No order of writes, pauses and closings makes a changing file torn."""
    tracker = SettleTracker(settle=5.0, torn_after=900.0)
    now = changed = 0.0
    last: int | None = None
    for pause, size, probe, closed in story:
        now += pause
        if size != last:
            changed = now
        last = size
        step = tracker.step(now, {PATH: observed(probe, size=size, closed=closed)})
        for decision in step.decisions:
            if decision.state == "settled":
                assert probe.state is ProbeState.COMPLETE
            if decision.state == "torn":
                assert probe.state is ProbeState.INCOMPLETE
                assert now - changed >= 900.0
        assert step.wake_at is None or step.wake_at > now
        assert len(tracker) <= 1


def test_what_was_whole_and_is_not_any_more_is_reported_once_for_a_verification(
    tracker: SettleTracker,
) -> None:
    """It may be damage; if the verification waits on, so does this, from the last change."""
    changed = observed(CUT, maybe_damaged=True)
    assert states(tracker.step(0.0, {PATH: changed}).decisions) == ["writing"]
    assert tracker.step(4.0, {PATH: changed}).wake_at == 5.0
    assert states(tracker.step(5.0, {PATH: changed}).decisions) == ["settled"]
    tracker.mark_incomplete(PATH, found(1).generation.key)
    assert states(tracker.step(6.0, {PATH: changed}).decisions) == ["writing"]
    assert tracker.step(899.0, {PATH: changed}).decisions == ()
    assert states(tracker.step(900.0, {PATH: changed}).decisions) == ["torn"]


@pytest.mark.parametrize("how", [{"open": True}, {"temporary": found(1).generation.members}])
def test_what_somebody_works_on_is_no_damage(
    tracker: SettleTracker, how: dict[str, object]
) -> None:
    """A file that is open for writing, or a temporary one beside it."""
    changed = observed(CUT, maybe_damaged=True, **how)
    assert states(tracker.step(0.0, {PATH: changed}).decisions) == ["writing"]
    assert tracker.step(60.0, {PATH: changed}).decisions == ()


def test_what_is_incomplete_is_reported_once_more_when_it_has_been_idle(
    tracker: SettleTracker,
) -> None:
    """A verification that knows that may tell damage; a fifteenth of `torn_after` is idle."""
    assert not tracker.step(0.0, {PATH: observed(closed=True)}).decisions[0].idle
    tracker.mark_incomplete(PATH, found().generation.key)
    step = tracker.step(1.0, {PATH: observed()})
    assert (states(step.decisions), step.wake_at) == (["writing"], 60.0)
    opened = observed(open=True)
    assert tracker.step(59.0, {PATH: opened}).decisions == ()
    assert tracker.step(60.0, {PATH: opened}).decisions == ()
    assert states(tracker.step(61.0, {PATH: observed()}).decisions) == []
    (idle,) = tracker.step(121.0, {PATH: observed()}).decisions
    assert (idle.state, idle.idle, idle.overdue) == ("settled", True, False)
    tracker.mark_incomplete(PATH, found().generation.key)
    assert states(tracker.step(122.0, {PATH: observed()}).decisions) == ["writing"]
    assert tracker.step(900.0, {PATH: observed()}).decisions == ()
    (last,) = tracker.step(961.0, {PATH: observed()}).decisions
    assert (last.state, last.overdue) == ("settled", True)
