"""The rules that choose by a metric."""

from __future__ import annotations

import math
from typing import Any

import pytest

from checkpointd.retention_rules import SavedCheckpoint
from checkpointd.retention_rules.best import KeepBest

LOSSES = {1: 0.5, 2: math.nan, 3: 0.1, 4: 0.1, 5: None, 6: -math.inf, 7: 0.9}
NEWEST_FIRST = [
    SavedCheckpoint(i, float(i), metrics={} if loss is None else {"loss": loss})
    for i, loss in LOSSES.items()
][::-1]


def test_keep_best_takes_the_best_and_never_nan() -> None:
    """NaN, infinite and missing metrics are never best; of equals the newer is."""
    claimed = KeepBest(1, "loss", "min", "ignore").claim(NEWEST_FIRST, 0)
    assert claimed == {4: "it is number 1 of the 1 best by loss, 0.1 (keep_best)"}
    assert set(KeepBest(1, "loss", "max", "ignore").claim(NEWEST_FIRST, 0)) == {7}
    assert set(KeepBest(3, "loss", "min", "ignore").claim(NEWEST_FIRST, 0)) == {1, 3, 4}
    assert set(KeepBest(9, "loss", "min", "ignore").claim(NEWEST_FIRST, 0)) == {1, 3, 4, 7}


def test_what_does_not_have_the_metric_is_kept() -> None:
    """It cannot be compared; a NaN that it has can."""
    claimed = KeepBest(1, "loss", "min").claim(NEWEST_FIRST, 0)
    assert set(claimed) == {4, 5}
    assert "does not have the metric loss" in claimed[5]


@pytest.mark.parametrize("without_metric", ["keep", "ignore"])
def test_a_metric_that_nothing_has_removes_nothing(without_metric: Any) -> None:
    """The rule cannot be evaluated; it explains that for each checkpoint."""
    claimed = KeepBest(2, "accuracy", "max", without_metric).claim(NEWEST_FIRST, 0)
    assert set(claimed) == set(LOSSES)
    reason = "no valid checkpoint has the metric accuracy, so keep_best removes nothing"
    assert set(claimed.values()) == {reason}
    lost = [SavedCheckpoint(i, 0.0, metrics={"loss": math.nan}) for i in range(3)]
    claimed = KeepBest(1, "loss", "max", without_metric).claim(lost, 0)
    reason = "no valid checkpoint has a finite value of loss, so keep_best removes nothing"
    assert claimed == dict.fromkeys(range(3), reason)
    assert KeepBest(1, "loss", "max", without_metric).claim([], 0) == {}
