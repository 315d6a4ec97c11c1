"""Ages by a clock that nobody sets: jumps of the wall clock, reboots, and what was never shown."""

from __future__ import annotations

import random
import secrets

import pytest

from checkpointd.ledger.clock import Clock, Reading, WallAges, read_clocks

DAY = 86400.0
START = 1_700_000_000.0


class Machine:
    """A machine whose wall clock can be set, and the clock that is read on it."""

    def __init__(self) -> None:
        self.wall, self.steady, self.boot = START, 1000.0, "first"
        self.clock = Clock.begin(self.reading())

    def reading(self) -> Reading:
        """What its clocks show."""
        return Reading(self.wall, self.steady, self.boot)

    def wait(self, seconds: float, *, every: float = 60.0) -> None:
        """Let time pass, while the daemon reads the clocks."""
        while seconds > 0:
            passed = min(seconds, every)
            seconds -= passed
            self.wall += passed
            self.steady += passed
            self.clock = self.clock.advanced(self.reading())

    def set(self, by: float) -> float:
        """Put the wall clock forward, or back; returns what it showed before."""
        before = self.wall
        self.wall += by
        self.clock = self.clock.advanced(self.reading())
        return before

    def reboot(self, off: float) -> None:
        """Be off for a time."""
        self.wall += off
        self.steady, self.boot = 5.0, self.boot + "+"
        self.clock = self.clock.advanced(self.reading())


@pytest.mark.parametrize("by", [30 * DAY, -30 * DAY, 3650 * DAY, -3650 * DAY])
def test_a_clock_that_is_set_makes_nothing_older_or_younger(by: float) -> None:
    """In both directions: an hour later it is an hour older."""
    machine = Machine()
    machine.wait(2 * DAY)
    recorded = machine.wall
    machine.wait(600)
    machine.set(by)
    assert machine.clock.age(recorded) == pytest.approx(600, abs=6)
    machine.wait(3600)
    assert machine.clock.age(recorded) == pytest.approx(4200, abs=6)
    machine.set(-by)
    machine.wait(600)
    assert machine.clock.age(recorded) == pytest.approx(4800, abs=6)


@pytest.mark.parametrize("by", [30 * DAY, -DAY, 90.0, -90.0])
def test_what_was_recorded_between_a_jump_and_the_next_reading_is_young(by: float) -> None:
    """The clock was set after the last reading, and something recorded by it at once."""
    machine = Machine()
    machine.wait(2 * DAY)
    machine.wall += by + 20
    machine.steady += 20
    recorded = machine.wall
    machine.wait(30)
    assert machine.clock.age(recorded) <= 50


def test_a_time_that_comes_twice_is_the_later_one() -> None:
    """The clock was put back by an hour: what it shows now, it has shown before."""
    machine = Machine()
    machine.wait(2 * DAY)
    machine.set(-3600)
    machine.wait(600)
    assert machine.clock.age(machine.wall - 300) == pytest.approx(300, abs=6)


def test_the_time_of_a_reboot_does_not_count() -> None:
    """Nothing but the wall clock could tell how long the machine was off."""
    machine = Machine()
    machine.wait(3600)
    recorded = machine.wall
    machine.wait(1800)
    machine.reboot(30 * DAY)
    machine.wait(60)
    assert machine.clock.age(recorded) == pytest.approx(1860, abs=6)
    assert machine.clock.age(machine.wall - 30) == pytest.approx(30, abs=6)


def test_a_daemon_that_was_down_counts_the_time_if_the_machine_was_not() -> None:
    """The clock of the machine ran on."""
    machine = Machine()
    recorded = machine.wall
    machine.wait(DAY, every=DAY)
    assert machine.clock.age(recorded) == pytest.approx(DAY)


def test_what_was_recorded_before_the_first_reading_counts_from_there() -> None:
    """Whatever the wall clock was then."""
    machine = Machine()
    machine.wait(600)
    assert machine.clock.age(START - 30 * DAY) == pytest.approx(600)
    assert machine.clock.age(START + 30 * DAY) == 0


def test_no_history_of_settings_makes_anything_too_old() -> None:
    """Random jumps, waits and reboots: an age is never more than what has really passed."""
    seed = secrets.randbits(32)
    generator = random.Random(seed)  # noqa: S311 - it only chooses examples
    for _ in range(60):
        machine, passed = Machine(), 0.0
        recorded: list[tuple[float, float]] = []
        for _ in range(40):
            recorded.append((machine.wall, passed))
            step = generator.choice(["wait", "wait", "set", "reboot"])
            if step == "wait":
                seconds = generator.uniform(1, 5000)
                machine.wait(seconds)
                passed += seconds
            elif step == "set":
                machine.set(generator.choice([-1, 1]) * 10 ** generator.uniform(0, 8))
            else:
                off = generator.uniform(1, DAY)
                machine.reboot(off)
                passed += off
            for wall, at in recorded:
                assert machine.clock.age(wall) <= passed - at + 70, f"seed {seed}"


def test_it_is_stored_and_read_again() -> None:
    """As text in the ledger; what is none is not taken for one."""
    machine = Machine()
    machine.wait(3600)
    machine.set(-DAY)
    assert Clock.from_json(machine.clock.to_json()) == machine.clock
    for text in ("", "{}", "[]", '{"last": [1, 2, "x"], "stretches": []}', '{"last": 1}'):
        assert Clock.from_json(text) is None
    nan = '{"last": [NaN, 2, "x"], "stretches": [[0, 1, 2]]}'
    assert Clock.from_json(nan) is None


def test_it_stays_small() -> None:
    """A machine whose clock jumps all the time fills no ledger."""
    machine = Machine()
    for _ in range(2000):
        machine.set(100)
        machine.wait(60)
    assert len(machine.clock.to_json()) < 50_000


def test_the_clocks_of_this_machine_can_be_read() -> None:
    """The steady one does not run back."""
    first, second = read_clocks(), read_clocks()
    assert second.steady >= first.steady > 0
    assert second.boot == first.boot
    assert WallAges(first.wall).age(first.wall - 5) == 5
