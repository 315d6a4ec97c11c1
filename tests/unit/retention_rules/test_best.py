"""The rules that choose by a metric."""

from __future__ import annotations

import math

from checkpointd.retention_rules import SavedCheckpoint
from checkpointd.retention_rules.best import KeepBest

LOSSES = {1: 0.5, 2: math.nan, 3: 0.1, 4: 0.1, 5: None, 6: -math.inf, 7: 0.9}
NEWEST_FIRST = [
    SavedCheckpoint(i, float(i), metrics={} if loss is None else {"loss": loss})
    for i, loss in LOSSES.items()
][::-1]


def test_keep_best_takes_the_best_and_never_nan() -> None:
    """NaN, infinite and missing metrics are never best; of equals the newer is."""
    claimed = KeepBest(1, "loss", "min").claim(NEWEST_FIRST, 0)
    assert claimed == {4: "it is number 1 of the 1 best by loss, 0.1 (keep_best)"}
    assert set(KeepBest(1, "loss", "max").claim(NEWEST_FIRST, 0)) == {7}
    assert set(KeepBest(3, "loss", "min").claim(NEWEST_FIRST, 0)) == {1, 3, 4}
    assert set(KeepBest(9, "loss", "min").claim(NEWEST_FIRST, 0)) == {1, 3, 4, 7}


def test_another_metric_claims_nothing() -> None:
    """What no checkpoint has cannot order them."""
    assert KeepBest(2, "accuracy", "max").claim(NEWEST_FIRST, 0) == {}
