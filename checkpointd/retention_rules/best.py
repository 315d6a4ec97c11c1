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
    """The `n` best by a metric; NaN and infinite values are never best, ties go to the newer.

    Where no checkpoint has a finite value there is no best, and all are kept.
    """

    name: ClassVar[str] = "keep_best"
    n: Annotated[int, Value.CHECKPOINTS, "How many to keep."]
    metric: Annotated[
        str, Value.TEXT, "The metric: from the file name, the golden record or `evaluate`."
    ]
    mode: Annotated[
        Literal["min", "max"], "Whether smaller (`min`) or larger (`max`) values are better."
    ]
    without_metric: Annotated[
        Literal["keep", "ignore"],
        "What becomes of checkpoints that do not have the metric: they are kept (`keep`), or the "
        "rule does not count them (`ignore`) and another rule has to keep them.",
    ] = "keep"

    def claim(self, newest_first: Sequence[SavedCheckpoint], now: float) -> Mapping[int, str]:  # noqa: ARG002 - the rules' signature
        """Claim the best, and those that cannot be compared."""
        values = {c.id: c.metrics[self.metric] for c in newest_first if self.metric in c.metrics}
        sign = 1 if self.mode == "min" else -1
        ranked = sorted(
            (sign * values[c.id], age, c.id)
            for age, c in enumerate(newest_first)
            if math.isfinite(values.get(c.id, math.nan))
        )
        if not ranked:
            lack = "has a finite value of" if values else "has the metric"
            reason = f"no valid checkpoint {lack} {self.metric}, so {self.name} removes nothing"
            return {c.id: reason for c in newest_first}
        claimed = {
            identity: (
                f"it is number {i} of the {self.n} best by {self.metric}, {values[identity]:.6g} "
                f"({self.name})"
            )
            for i, (_, _, identity) in enumerate(ranked[: self.n], 1)
        }
        if self.without_metric == "keep":
            reason = (
                f'it does not have the metric {self.metric} ({self.name}.without_metric = "keep")'
            )
            claimed |= {c.id: reason for c in newest_first if c.id not in values}
        return claimed
