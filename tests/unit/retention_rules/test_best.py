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
    assert set(KeepBest(1, "loss", "max", "ignore", check_mode=False).claim(NEWEST_FIRST, 0)) == {7}
    assert set(KeepBest(3, "loss", "min", "ignore").claim(NEWEST_FIRST, 0)) == {1, 3, 4}
    assert set(KeepBest(9, "loss", "min", "ignore").claim(NEWEST_FIRST, 0)) == {1, 3, 4, 7}


def test_what_does_not_have_the_metric_is_kept() -> None:
    """It cannot be compared; a NaN that it has can."""
    claimed = KeepBest(1, "loss", "min").claim(NEWEST_FIRST, 0)
    assert set(claimed) == {4, 5}
    assert "has no finite value of loss" in claimed[5]


@pytest.mark.parametrize("without_metric", ["keep", "ignore"])
def test_a_metric_that_nothing_has_removes_nothing(without_metric: Any) -> None:
    """The rule cannot be evaluated; it explains that for each checkpoint."""
    claimed = KeepBest(2, "accuracy", "max", without_metric).claim(NEWEST_FIRST, 0)
    assert set(claimed) == set(LOSSES)
    reason = (
        "no valid checkpoint has a value of the metric accuracy (they have loss), so keep_best "
        "removes nothing"
    )
    assert set(claimed.values()) == {reason}
    lost = [SavedCheckpoint(i, 0.0, metrics={"loss": math.nan}) for i in range(3)]
    claimed = KeepBest(1, "loss", "min", without_metric).claim(lost, 0)
    reason = "no valid checkpoint has a finite value of loss, so keep_best removes nothing"
    assert claimed == dict.fromkeys(range(3), reason)
    assert KeepBest(1, "loss", "max", without_metric).claim([], 0) == {}
    assert KeepBest(1, "loss", "max", without_metric).obstacle([]) is None


def test_a_mode_that_contradicts_the_name_removes_nothing() -> None:
    """The worst would be kept; who means it says so."""
    rule = KeepBest(1, "loss", "max", "ignore")
    claimed = rule.claim(NEWEST_FIRST, 0)
    assert set(claimed) == set(LOSSES)
    assert claimed[1] == (
        'the mode of keep_best is "max", and by its name loss is better the smaller it is, so '
        "keep_best removes nothing"
    )
    obstacle = rule.obstacle(NEWEST_FIRST)
    assert obstacle is not None
    assert obstacle.label == "metric_direction"
    score = [SavedCheckpoint(i, float(i), metrics={"fid_score": float(i)}) for i in range(4)][::-1]
    meant = KeepBest(1, "fid_score", "min", check_mode=False)
    assert set(meant.claim(score, 0)) == {0}


def test_values_of_different_evaluations_are_not_compared() -> None:
    """The best of each stay: another data set has other values."""
    old = [
        SavedCheckpoint(i, float(i), 0, i, {"loss": i / 10}, {}, frozenset({"loss"}), "old")
        for i in range(1, 5)
    ]
    new = [
        SavedCheckpoint(i, float(i), 0, i, {"loss": float(i)}, {}, frozenset({"loss"}), "new")
        for i in range(5, 9)
    ]
    by_job = [
        SavedCheckpoint(9, 9.0, 0, 9, {"loss": 7.0}),
        SavedCheckpoint(10, 10.0, 0, 10, {"loss": 8.0}),
    ]
    assert set(KeepBest(1, "loss", "min").claim([*old, *new, *by_job][::-1], 0)) == {1, 5, 9}


@pytest.mark.parametrize(
    ("named", "recorded", "agree"),
    [
        (0.13, 0.134, True),
        (0.13, 0.127, True),
        (0.13, 0.31, False),
        (1.23e-05, 1.2312e-05, True),
        (12.0, 12.4, True),
        (math.nan, 0.3, False),
        (math.nan, math.nan, True),
    ],
)
def test_a_name_and_a_record_that_disagree_leave_the_checkpoint_out(
    named: float, recorded: float, agree: bool
) -> None:
    """Rounding is no disagreement; else it stays, and displaces nothing."""
    others = [SavedCheckpoint(i, float(i), metrics={"loss": i + 20.0}) for i in range(1, 4)]
    doubtful = SavedCheckpoint(9, 9.0, metrics={"loss": recorded}, named={"loss": named})
    claimed = KeepBest(2, "loss", "min", "ignore").claim([doubtful, *others[::-1]], 0)
    usable = agree and math.isfinite(recorded)
    assert set(claimed) == ({9, 1} if usable else {1, 2} if agree else {9, 1, 2})
    assert agree or "cannot compare it" in claimed[9]


def test_a_metric_that_is_always_the_same_removes_nothing() -> None:
    """An evaluation that ignores the model has no best; rounded names may well be equal."""
    same = [
        SavedCheckpoint(i, float(i), 0, i, {"loss": 0.5}, {}, frozenset({"loss"}), "e")
        for i in range(5)
    ][::-1]
    rule = KeepBest(2, "loss", "min")
    obstacle = rule.obstacle(same)
    assert obstacle is not None
    assert (obstacle.label, obstacle.message) == (
        "metric_constant",
        "the metric loss is 0.5 for all 5 checkpoints",
    )
    assert set(rule.claim(same, 0)) == set(range(5))
    assert rule.obstacle(same[:2]) is None
    named = [SavedCheckpoint(i, float(i), 0, i, {"loss": 0.5}, {"loss": 0.5}) for i in range(5)]
    assert set(rule.claim(named[::-1], 0)) == {4, 3}
