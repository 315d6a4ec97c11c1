"""The order of a series and its runs; pure, for whatever has an id, a save time and a step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class Ordered(Protocol):
    """A checkpoint, as far as its place in a series depends on it."""

    @property
    def id(self) -> int:
        """A number that grows in the order in which paths were first seen."""
        ...

    @property
    def saved_at(self) -> float:
        """Seconds since the epoch."""
        ...

    @property
    def step(self) -> int | None:
        """The training step."""
        ...


T = TypeVar("T", bound=Ordered)


def age_key(checkpoint: Ordered) -> tuple[float, int, int]:
    """What a series is sorted by: save time, then step, then the order of being seen."""
    step = checkpoint.step
    return checkpoint.saved_at, -1 if step is None else step, checkpoint.id


def newest_first(checkpoints: Iterable[T]) -> list[T]:
    """Sort a series."""
    return sorted(checkpoints, key=age_key, reverse=True)


def runs_of(oldest_first: Sequence[T]) -> list[list[T]]:
    """Split a series into runs: a new one begins where the step falls.

    A checkpoint without a step belongs to the run before it.
    """
    runs: list[list[T]] = []
    last: int | None = None
    for checkpoint in oldest_first:
        step = checkpoint.step
        if not runs or (step is not None and last is not None and step < last):
            runs.append([])
        runs[-1].append(checkpoint)
        last = step if step is not None else last
    return runs
