"""The usual interval between saves of a series, from the times of its last saves; pure."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_MIN_SAVES = 3
_BURST_SECONDS = 5.0
"""Files that follow each other faster than this were copied, not saved by a job."""


def save_interval(times: Iterable[float]) -> float | None:
    """Return the usual time between saves: three of four are shorter; None if it is not known.

    Args:
        times: when something was saved, in any order, repetitions too.
    """
    ordered = sorted({round(time) for time in times})
    if len(ordered) < _MIN_SAVES:
        return None
    gaps = sorted(after - before for before, after in pairwise(ordered))
    usual = float(gaps[(3 * len(gaps) - 1) // 4])
    return usual if usual >= _BURST_SECONDS else None
