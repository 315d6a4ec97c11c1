"""Files that are not checkpoints yet: their writers may only just have begun."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from checkpointd.formats import Candidate

_ROUNDS = 3


@dataclass(frozen=True)
class _Recheck:
    candidate: Candidate
    rounds_left: int = _ROUNDS


class Rechecks:
    """The files to look at again in the next few rounds."""

    def __init__(self) -> None:
        self._rechecks: dict[str, _Recheck] = {}

    def __len__(self) -> int:
        return len(self._rechecks)

    def add(self, candidate: Candidate) -> None:
        """Look at a file again in the next rounds."""
        self._rechecks[candidate.path] = _Recheck(candidate)

    def discard(self, path: str) -> None:
        """Stop looking at a file again."""
        self._rechecks.pop(path, None)

    def next_round(self, is_unknown: Callable[[str], bool]) -> tuple[Candidate, ...]:
        """Return the files to look at in this round.

        Args:
            is_unknown: whether a path is still not a checkpoint; any other is dropped.
        """
        due = [r for path, r in self._rechecks.items() if is_unknown(path)]
        self._rechecks = {
            r.candidate.path: _Recheck(r.candidate, r.rounds_left - 1)
            for r in due
            if r.rounds_left > 1
        }
        return tuple(r.candidate for r in due)
