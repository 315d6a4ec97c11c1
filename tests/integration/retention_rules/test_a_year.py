"""A simulated year of hourly saves, pruned after each: what is left, and what every round chose."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from checkpointd.config import RetentionSettings
from checkpointd.retention_rules import Effect, SavedCheckpoint
from checkpointd.retention_rules.order import newest_first
from checkpointd.retention_rules.table import rules_of
from tests.helpers.retention_models import DAY, HOUR, MODELS, newest_of_each, period_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from checkpointd.retention_rules import Rule

BEGAN = datetime(2026, 1, 1, tzinfo=UTC).timestamp()
ZONE = "Europe/Berlin"
POLICY = RetentionSettings.model_validate(
    {
        "keep_last": 5,
        "keep_hourly": 24,
        "keep_daily": 7,
        "keep_weekly": 5,
        "keep_monthly": 13,
        "keep_yearly": 2,
        "keep_within": "6h",
        "keep_within_daily": "10d",
        "keep_every": "30d",
        "keep_best": {"n": 3, "metric": "loss", "mode": "min"},
        "timezone": ZONE,
    }
)
RULES = rules_of(POLICY, Effect.KEEP)


def _saves(rng: random.Random, *, jumps: bool) -> Iterator[tuple[float, SavedCheckpoint]]:
    """Yield the daemon's time and what was saved: one in twelve fails, and the job is restarted.

    With `jumps` the clock of the host that saves and that of the daemon are wrong on some days, by
    up to three days.
    """
    step, at, number = 0, BEGAN, 0
    host, daemon = 0.0, 0.0
    while at < BEGAN + 366 * DAY:
        at += HOUR
        step += 100
        if rng.random() < 1 / 200:  # the job is down, and goes on from an earlier checkpoint
            at += rng.randrange(1, 60) * HOUR
            step = max(0, step - rng.randrange(1, 20) * 100)
        if jumps and rng.random() < 1 / 100:
            host = rng.choice([0.0, 0.0, -3 * DAY, -2 * HOUR, 90.0, 3 * HOUR, 3 * DAY])
            daemon = rng.choice([0.0, 0.0, -DAY, 2 * DAY])
        if rng.random() < 1 / 12:
            continue
        number += 1
        loss = 1 / (1 + step / 1e5) + rng.random() / 10
        metrics = {"loss": loss} if rng.random() < 0.999 else {}
        now = at + daemon + 60
        yield now, SavedCheckpoint(number, at + host + rng.random(), now, step, metrics)


def _chosen(rules: Sequence[Rule], saved: Sequence[SavedCheckpoint], now: float) -> set[int]:
    return {identity for rule in rules for identity in rule.claim(saved, now)}


def _by_models(saved: Sequence[SavedCheckpoint], now: float) -> set[int]:
    return {identity for rule in RULES for identity in MODELS[rule.name](rule, saved, now)}


@pytest.mark.slow
def test_a_year_of_pruning_leaves_what_one_pruning_at_its_end_leaves(
    show: Callable[[str], None],
) -> None:
    """Nothing is removed early that the rules want later, whatever daylight saving does."""
    history: list[SavedCheckpoint] = []
    left: list[SavedCheckpoint] = []
    now, most = BEGAN, 0
    for now, saved in _saves(random.Random(12), jumps=False):  # noqa: S311 - a simulation
        history.append(saved)
        left = newest_first([*left, saved])
        chosen = _chosen(RULES, left, now)
        left = [checkpoint for checkpoint in left if checkpoint.id in chosen]
        most = max(most, len(left))
    whole = newest_first(history)
    assert {c.id for c in left} == _by_models(whole, now)
    months = newest_of_each(whole, ZONE, "month")
    assert {c.id for c in months} <= {c.id for c in left}
    assert {period_of(c.saved_at, ZONE, "month") for c in left} >= {
        f"2026-{month:02d}" for month in range(1, 13)
    }
    show(
        f"a year of hourly saves, pruned after each: {len(history)} saved, at most {most} kept, "
        f"{len(left)} left at the end, the same as by one pruning at the end"
    )


@pytest.mark.slow
def test_with_wrong_clocks_every_round_chooses_what_the_models_choose(
    show: Callable[[str], None],
) -> None:
    """Save times that jump by days, and a daemon whose clock is put forward and back."""
    left: list[SavedCheckpoint] = []
    rounds = 0
    for number, (now, saved) in enumerate(_saves(random.Random(7), jumps=True)):  # noqa: S311
        left = newest_first([*left, saved])
        chosen = _chosen(RULES, left, now)
        if number % 5 == 0:
            rounds += 1
            assert chosen == _by_models(left, now)
        left = [checkpoint for checkpoint in left if checkpoint.id in chosen]
        assert len(left) >= min(number + 1, 5)
    show(f"a year with wrong clocks: {rounds} rounds compared with the models, no difference")
