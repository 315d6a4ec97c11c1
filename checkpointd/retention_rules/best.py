"""Rules that choose by a metric, and why such a rule cannot be evaluated."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, NamedTuple

from checkpointd.core import verify_settings
from checkpointd.retention_rules.spec import Obstacle, SavedCheckpoint, Value

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_NAMED = 6
_ENOUGH = 3
"""From this many equal values on, chance is no explanation."""


class _Values(NamedTuple):
    """What checkpoints have of a metric, newest first.

    `comparable` are those with a finite and certain value, by what gave it; of the `disputed` the
    file name and the golden record differ; the `missing` do not have it.
    """

    comparable: list[list[SavedCheckpoint]]
    disputed: list[SavedCheckpoint]
    missing: list[SavedCheckpoint]
    any_finite: bool


@dataclass(frozen=True)
class KeepBest:
    """The `n` best by a metric; NaN and infinite values are never best, ties go to the newer.

    Values that different evaluations gave are not compared: the best of each are kept. Where the
    rule cannot be evaluated, it claims all.
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
    check_mode: Annotated[
        bool,
        Value.FLAG,
        "`true`: nothing is pruned while `mode` contradicts the metric's name, as `max` does "
        "`val_loss`. `false`: `mode` is right, whatever the name suggests.",
    ] = True

    def claim(self, newest_first: Sequence[SavedCheckpoint], now: float) -> Mapping[int, str]:  # noqa: ARG002 - the rules' signature
        """Claim the best, and those that cannot be compared."""
        found = self._values(newest_first)
        obstacle = self._obstacle(newest_first, found)
        if obstacle:
            return {
                c.id: f"{obstacle.message}, so {self.name} removes nothing" for c in newest_first
            }
        claimed: dict[int, str] = {}
        for group in found.comparable:
            claimed |= self._best_of(group)
        for checkpoint in found.disputed:
            claimed[checkpoint.id] = (
                f"its file name gives {checkpoint.named[self.metric]:g} for {self.metric} and "
                f"its golden record {checkpoint.metrics[self.metric]:g}, so {self.name} "
                "cannot compare it"
            )
        if self.without_metric == "keep":
            reason = (
                f'it has no finite value of {self.metric} ({self.name}.without_metric = "keep")'
            )
            claimed.update((checkpoint.id, reason) for checkpoint in found.missing)
        return claimed

    def obstacle(self, newest_first: Sequence[SavedCheckpoint]) -> Obstacle | None:
        """Why the rule cannot be evaluated."""
        return self._obstacle(newest_first, self._values(newest_first))

    def _obstacle(
        self, newest_first: Sequence[SavedCheckpoint], values: _Values
    ) -> Obstacle | None:
        if not newest_first:
            return None
        meant = verify_settings.better(self.metric)
        if self.check_mode and meant and meant != self.mode:
            text = (
                f'the mode of {self.name} is "{self.mode}", and by its name {self.metric} is '
                f"better the {'smaller' if meant == verify_settings.MIN else 'larger'} it is"
            )
            return Obstacle("metric_direction", text)
        if len(values.missing) == len(newest_first):
            known = list(dict.fromkeys(name for c in newest_first for name in sorted(c.metrics)))
            has = f" (they have {', '.join(known[:_NAMED])})" if known else ""
            text = f"no valid checkpoint has a value of the metric {self.metric}{has}"
            return Obstacle("metric_missing", text)
        if not values.any_finite:
            text = f"no valid checkpoint has a finite value of {self.metric}"
            return Obstacle("metric_not_finite", text)
        constant = next(filter(self._is_constant, values.comparable), None)
        if constant is None:
            return None
        value = constant[0].metrics[self.metric]
        text = f"the metric {self.metric} is {value:.6g} for all {len(constant)} checkpoints"
        return Obstacle("metric_constant", text)

    def _values(self, newest_first: Sequence[SavedCheckpoint]) -> _Values:
        """What the checkpoints have of the metric, in one pass: there may be 100 000 of them."""
        metric = self.metric
        groups = defaultdict[str, list[SavedCheckpoint]](list)
        disputed, missing = [], []
        any_finite = False
        for c in newest_first:
            if metric not in c.metrics:
                missing.append(c)
                continue
            value = c.metrics[metric]
            finite = math.isfinite(value)
            any_finite = any_finite or finite
            if c.named.get(metric, value) != value and self._disputed(c):
                disputed.append(c)
            elif finite:
                evaluator = c.evaluated_by if metric in c.evaluated else ""
                groups[evaluator].append(c)
        return _Values(list(groups.values()), disputed, missing, any_finite)

    def _best_of(self, group: Sequence[SavedCheckpoint]) -> dict[int, str]:
        sign = 1 if self.mode == "min" else -1
        ranked = sorted(group, key=lambda c: sign * c.metrics[self.metric])  # stable: newer first
        return {
            c.id: (
                f"it is number {i} of the {self.n} best by {self.metric}, "
                f"{c.metrics[self.metric]:.6g} ({self.name})"
            )
            for i, c in enumerate(ranked[: self.n], 1)
        }

    def _is_constant(self, group: Sequence[SavedCheckpoint]) -> bool:
        """Whether a metric that is computed to the last digit does not depend on the model.

        A value in a file name is rounded, so that equal ones are nothing special.
        """
        if len(group) < max(_ENOUGH, self.n + 1) or any(self._is_rounded(c) for c in group):
            return False
        return len({c.metrics[self.metric] for c in group}) == 1

    def _is_rounded(self, checkpoint: SavedCheckpoint) -> bool:
        return self.metric in checkpoint.named and self.metric not in checkpoint.evaluated

    def _disputed(self, checkpoint: SavedCheckpoint) -> bool:
        """Whether the file name and the golden record differ by more than rounding."""
        if self.metric not in checkpoint.metrics or not self._is_rounded(checkpoint):
            return False
        named, recorded = checkpoint.named[self.metric], checkpoint.metrics[self.metric]
        if named == recorded:
            return False
        if not (math.isfinite(named) and math.isfinite(recorded)):
            return math.isfinite(named) != math.isfinite(recorded)
        exponent = Decimal(repr(named)).normalize().as_tuple().exponent
        rounding = 10.0 ** min(int(exponent), 0)
        return abs(named - recorded) > rounding * (1 + 1e-9)
