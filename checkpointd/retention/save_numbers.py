"""The number in a checkpoint's name, by which saves of a job can be compared; pure.

It is the training step, else a version that is a number: TensorFlow Serving's `1`, `2`, a unix
time, or a time stamp such as `20261025-120000`.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

Number = tuple[int, ...]
"""A number as a tuple, so that an epoch and a step within it compare as one."""

_COUNTERS = re.compile(r"[0-9]+(?:[-_][0-9]+)*\Z")
_STAMP = re.compile(
    r"(?P<date>[0-9]{4}-?[0-9]{2}-?[0-9]{2})[-_T ]"
    r"(?P<time>[0-9]{2}[-:._]?[0-9]{2}(?:[-:._]?[0-9]{2})?)(?P<rest>[^0-9].*)?\Z"
)
_LONGEST = 40
_CLOCK_DIGITS = 6


def number_of(version: str, step: int | None, metrics: Mapping[str, float]) -> Number | None:
    """Return the number that places a checkpoint among others of its series; None if it has none.

    Args:
        version: the version in its name; the value of a metric is none.
        step: its training step, of the name or the golden record.
        metrics: the metrics in its name.
    """
    if step is not None and version.isdigit():
        return (step,)
    of_name = _of_version(version)
    if step is not None:
        # An epoch and the step within it: either alone does not order them.
        both = of_name is not None and len(of_name) > 1 and step in (of_name[0], of_name[-1])
        return of_name if both else (step,)
    if of_name and len(of_name) == 1 and of_name[0] in metrics.values():
        return None
    return of_name


@lru_cache(maxsize=4096)
def _of_version(version: str) -> Number | None:
    if len(version) > _LONGEST:
        return None
    if stamp := _STAMP.match(version):
        date = re.sub("[^0-9]", "", stamp["date"])
        clock = re.sub("[^0-9]", "", stamp["time"]).ljust(_CLOCK_DIGITS, "0")
        return (int(date + clock),)
    if _COUNTERS.match(version):
        return tuple(int(part) for part in re.split("[-_]", version))
    return None
