"""The clocks of this machine, as tests set them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from checkpointd.ledger.clock import read_clocks

if TYPE_CHECKING:
    from checkpointd.ledger.clock import Reading


class Clocks:
    """The clocks of this machine, with the wall clock set and time passed."""

    def __init__(self) -> None:
        self.set = self.passed = 0.0

    def read(self) -> Reading:
        """What they show."""
        found = read_clocks()
        wall = found.wall + self.set + self.passed
        return replace(found, wall=wall, steady=found.steady + self.passed)
