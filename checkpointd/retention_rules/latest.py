"""Rules that keep checkpoints by their place in the series: the newest, and one in each while."""

from __future__ import annotations

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
class KeepEvery:
    """The oldest, and each that was saved at least `seconds` after the one kept before it."""

    name: ClassVar[str] = "keep_every"
    seconds: Annotated[float, Value.DURATION]

    def claim(self, newest_first: Sequence[SavedCheckpoint], now: float) -> Mapping[int, str]:  # noqa: ARG002 - the rules' signature
        """Claim from the oldest on."""
        claimed: dict[int, str] = {}
        kept_at: float | None = None
        span = exact_duration(self.seconds)
        for checkpoint in reversed(newest_first):
            if kept_at is not None and checkpoint.saved_at - kept_at < self.seconds:
                continue
            claimed[checkpoint.id] = (
                f"it is the oldest valid one ({self.name})"
                if kept_at is None
                else f"it was saved at least {span} after the one kept before it ({self.name})"
            )
            kept_at = checkpoint.saved_at
        return claimed
