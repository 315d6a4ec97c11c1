"""Rules that choose by a metric."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from checkpointd.retention_rules.spec import SavedCheckpoint, Value

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True)
class KeepBest:
    """The `n` best by a metric; NaN, infinite and missing are never best, ties go to the newer."""

    name: ClassVar[str] = "keep_best"
    n: Annotated[int, Value.CHECKPOINTS, "How many to keep."]
    metric: Annotated[
        str, Value.TEXT, "The metric: from the file name, the golden record or `evaluate`."
    ]
    mode: Annotated[
        Literal["min", "max"], "Whether smaller (`min`) or larger (`max`) values are better."
    ]

    def claim(self, newest_first: Sequence[SavedCheckpoint], now: float) -> Mapping[int, str]:  # noqa: ARG002 - the rules' signature
        """Claim the best."""
        sign = 1 if self.mode == "min" else -1
        ranked = sorted(
            (sign * value, age, checkpoint.id, value)
            for age, checkpoint in enumerate(newest_first)
            if math.isfinite(value := checkpoint.metrics.get(self.metric, math.nan))
        )
        return {
            identity: (
                f"it is number {i} of the {self.n} best by {self.metric}, {value:.6g} ({self.name})"
            )
            for i, (_, _, identity, value) in enumerate(ranked[: self.n], 1)
        }
