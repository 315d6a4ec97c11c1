"""Rules that keep the most recent checkpoints: by number, and by time."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from checkpointd.core.text import exact_duration
from checkpointd.retention_rules.spec import SavedCheckpoint, Value

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True)
class KeepLast:
    """The `n` newest."""

    name: ClassVar[str] = "keep_last"
    n: Annotated[int, Value.CHECKPOINTS]

    def claim(self, newest_first: Sequence[SavedCheckpoint], now: float) -> Mapping[int, str]:  # noqa: ARG002 - the rules' signature
        """Claim the first `n`."""
        return {
            c.id: f"it is number {i} of the {self.n} newest valid ones ({self.name} = {self.n})"
            for i, c in enumerate(newest_first[: self.n], 1)
        }


@dataclass(frozen=True)
class KeepWithin:
    """Those saved less than `seconds` before the newest that is not in the future.

    Measured from the newest and not from now: a job that has stopped loses nothing by waiting.
    A checkpoint with a save time in the future is kept.
    """

    name: ClassVar[str] = "keep_within"
    seconds: Annotated[float, Value.DURATION]

    def claim(self, newest_first: Sequence[SavedCheckpoint], now: float) -> Mapping[int, str]:
        """Claim what is young enough."""
        past = [c.saved_at for c in newest_first if c.saved_at <= now]
        since = max(past) - self.seconds if past else -math.inf
        span = exact_duration(self.seconds)
        within = f"it was saved within {span} of the newest valid one ({self.name})"
        future = f"its save time is in the future ({self.name})"
        return {
            c.id: within if c.saved_at <= now else future
            for c in newest_first
            if c.saved_at >= since
        }
