"""How long ago something was recorded, by a clock that cannot be set.

What the ledger stores are times of the wall clock, which may be put forward or back. So the
ledger counts the seconds that passed by a clock which only runs on, and keeps for each stretch
without a jump what the wall clock showed. The age of a stored time is counted from the moment
at which the wall clock showed it. Across a reboot nothing but the wall clock could tell how long
the machine was off: that time does not count.
"""

from __future__ import annotations

import json
import math
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

_JUMP_SECONDS = 5.0
_STRETCHES_MOST = 500
_STORED_EVERY = 20.0
_DISAGREE_SECONDS = 1.0
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_UPTIME = Path("/proc/uptime")


class Ages(Protocol):
    """How old stored times are."""

    def age(self, wall: float) -> float:
        """How many seconds ago the wall clock showed a time; 0 if it is in the future."""
        ...


@dataclass(frozen=True)
class WallAges:
    """Ages by the wall clock alone, as it was read once: for what has no ledger."""

    now: float

    def age(self, wall: float) -> float:
        """How many seconds ago it was by the wall clock."""
        return max(0.0, self.now - wall)


@dataclass(frozen=True)
class Reading:
    """What the clocks showed at one moment.

    `wall` is in seconds since the epoch, `steady` in seconds since the machine was started, and
    `boot` names that start.
    """

    wall: float
    steady: float
    boot: str


@dataclass(frozen=True)
class Stretch:
    """Time in which the wall clock did not jump: counted seconds from and to, and its time then."""

    start: float
    end: float
    wall: float

    def elapsed_at(self, wall: float) -> float | None:
        """The counted seconds when the wall clock showed a time; None if not in this stretch."""
        elapsed = self.start + wall - self.wall
        if self.start - _JUMP_SECONDS <= elapsed <= self.end + _JUMP_SECONDS:
            return min(max(elapsed, self.start), self.end)
        return None


@dataclass(frozen=True)
class Clock:
    """The seconds that have been counted up to the last reading, and what the wall clock showed."""

    last: Reading
    stretches: tuple[Stretch, ...]

    @classmethod
    def begin(cls, reading: Reading) -> Clock:
        """Begin to count."""
        return cls(reading, (Stretch(0.0, 0.0, reading.wall),))

    @property
    def elapsed(self) -> float:
        """The counted seconds at the last reading."""
        return self.stretches[-1].end

    def advanced(self, reading: Reading) -> Clock:
        """The clock at a later reading."""
        passed = reading.steady - self.last.steady if reading.boot == self.last.boot else 0.0
        passed = max(0.0, passed)
        current = self.stretches[-1]
        grown = replace(current, end=current.end + passed)
        shown = grown.wall + grown.end - grown.start
        if abs(reading.wall - shown) <= _JUMP_SECONDS:
            return Clock(reading, (*self.stretches[:-1], grown))
        # The jump was at some moment since the last reading: both stretches hold that time.
        after = Stretch(current.end, grown.end, reading.wall - passed)
        return Clock(reading, (*self.stretches[1 - _STRETCHES_MOST : -1], grown, after))

    def is_outdated_by(self, later: Clock) -> bool:
        """Whether a later state of the clock should be stored instead of this one."""
        jumped = later.stretches[-1].start != self.stretches[-1].start
        return jumped or later.elapsed - self.elapsed >= _STORED_EVERY or self.reboots(later)

    def reboots(self, later: Clock) -> bool:
        """Whether the machine was started again before a later reading."""
        return later.last.boot != self.last.boot or later.last.steady < self.last.steady

    def age(self, wall: float) -> float:
        """How many counted seconds ago the wall clock showed a time.

        The last moment at which it did counts; for a time before the first reading, the first
        reading; for a time that it never showed, the beginning of the latest later stretch.
        """
        found = -math.inf
        for stretch in reversed(self.stretches):
            if stretch.end <= found:
                break
            at = stretch.elapsed_at(wall)
            found = found if at is None else max(found, at)
        if found == -math.inf:
            later = [stretch.start for stretch in self.stretches if stretch.wall > wall]
            is_before_all = len(later) == len(self.stretches)
            found = self.stretches[0].start if is_before_all else max(later, default=self.elapsed)
        return max(0.0, self.elapsed - found)

    def to_json(self) -> str:
        """The clock as text for the ledger."""
        last = [self.last.wall, self.last.steady, self.last.boot]
        return json.dumps({"last": last, "stretches": [[*_row(s)] for s in self.stretches]})

    @classmethod
    def from_json(cls, text: str) -> Clock | None:
        """The clock that was stored as text; None if it cannot be understood."""
        try:
            data = json.loads(text)
            wall, steady, boot = data["last"]
            last = Reading(float(wall), float(steady), str(boot))
            stretches = tuple(Stretch(*map(float, row)) for row in data["stretches"])
        except (ValueError, KeyError, TypeError):
            return None
        numbers = [last.wall, last.steady, *(n for s in stretches for n in _row(s))]
        return cls(last, stretches) if stretches and all(map(math.isfinite, numbers)) else None


def read_clocks() -> Reading:
    """Read the clocks of this machine.

    The time since its start is read in two ways, and if they disagree the smaller counts: what is
    shown to one process may be shifted.
    """
    steady = time.clock_gettime(time.CLOCK_BOOTTIME)
    boot = ""
    try:
        uptime = float(_UPTIME.read_text().split()[0])
        if abs(uptime - steady) > _DISAGREE_SECONDS:
            steady = min(steady, uptime)
        boot = _BOOT_ID.read_text().strip()
    except (OSError, ValueError, IndexError):
        pass
    return Reading(time.time(), steady, boot)


def _row(stretch: Stretch) -> tuple[float, float, float]:
    return stretch.start, stretch.end, stretch.wall
