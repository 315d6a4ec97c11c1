"""Slow, obvious models of the retention rules, written from the documentation of what they follow.

Each takes checkpoints, newest first, and returns the ids that stay. restic's documentation of
`forget` describes the calendar and `within` rules, Orbax's of its preservation policies the step,
time and best rules. Nothing here uses the rules' code.
"""

from __future__ import annotations

import dataclasses
import math
from datetime import UTC, datetime, timedelta
from random import Random
from typing import TYPE_CHECKING, Any, get_args
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from checkpointd.retention_rules import SavedCheckpoint, table

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from checkpointd.retention_rules import Rule

    Saved = Sequence[SavedCheckpoint]
    Model = Callable[[Any, Saved, float], set[int]]

HOUR, DAY = 3600.0, 86400.0
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe")
NOW = datetime(2026, 11, 2, 12, tzinfo=UTC).timestamp()
"""A week after summer time ended in Berlin, a day after it did in New York."""


def period_of(at: float, zone: str, period: str) -> str:
    """The name of a period on the clock of a zone; of two times the same or not."""
    local = datetime.fromtimestamp(math.floor(at), ZoneInfo(zone))  # which rounds up by itself
    if period == "week":
        return f"{local.date() - timedelta(days=local.weekday())}"
    formats = {"hour": "%Y-%m-%d %H %z", "day": "%Y-%m-%d", "month": "%Y-%m", "year": "%Y"}
    return local.strftime(formats[period])


def newest_of_each(saved: Saved, zone: str, period: str) -> list[SavedCheckpoint]:
    """The newest of each period that has one, newest first."""
    found: dict[str, SavedCheckpoint] = {}
    for checkpoint in reversed(saved):
        found[period_of(checkpoint.saved_at, zone, period)] = checkpoint
    return sorted(found.values(), key=saved.index)


def _ids(saved: Sequence[SavedCheckpoint]) -> set[int]:
    return {checkpoint.id for checkpoint in saved}


def _last(rule: Any, saved: Saved, now: float) -> set[int]:
    return {c.id for number, c in enumerate(saved) if number < rule.n}


def _periods(rule: Any, saved: Saved, now: float) -> set[int]:
    best = newest_of_each(
        saved,
        rule.timezone,
        rule.name.removeprefix("keep_").removesuffix("ly").replace("dai", "day"),
    )
    slots_left = len(best) < rule.n
    return _ids(best[: rule.n]) | (_ids(saved[-1:]) if slots_left else set())


def _span(rule: Any, saved: Saved, now: float) -> list[SavedCheckpoint]:
    past = [c.saved_at for c in saved if c.saved_at <= now]
    return [c for c in saved if not past or c.saved_at >= max(past) - rule.seconds]


def _within(rule: Any, saved: Saved, now: float) -> set[int]:
    return _ids(_span(rule, saved, now))


def _within_periods(rule: Any, saved: Saved, now: float) -> set[int]:
    span = _span(rule, saved, now)
    period = rule.name.removeprefix("keep_within_").removesuffix("ly").replace("dai", "day")
    oldest = {c.id for c in span if c is saved[-1]}
    return _ids(newest_of_each(span, rule.timezone, period)) | oldest


def _every(rule: Any, saved: Saved, now: float) -> set[int]:
    kept, rest = [], list(reversed(saved))
    while rest:
        kept.append(rest[0])
        rest = [c for c in rest[1:] if c.saved_at >= kept[-1].saved_at + rule.seconds]
    return _ids(kept)


def _runs(saved: Saved) -> list[list[Any]]:
    """Checkpoints with a step, oldest first, cut where the step falls."""
    stepped = [c for c in reversed(saved) if c.step is not None]
    cuts = [
        i for i in range(1, len(stepped)) if (stepped[i].step or 0) < (stepped[i - 1].step or 0)
    ]
    return [stepped[a:b] for a, b in zip([0, *cuts], [*cuts, len(stepped)], strict=True)]


def _steps(rule: Any, saved: Saved, now: float) -> set[int]:
    kept = {c.id for c in saved if c.step is None}
    for run in _runs(saved):
        kept |= _ids(_of_run(rule.n, rule.mode, run))
    return kept


def _of_run(n: int, mode: str, run: list[Any]) -> list[Any]:
    multiples = range(0, max((c.step for c in run), default=0) + 2 * n, n)
    if mode == "exact":
        return [c for c in run if c.step in multiples]
    if mode == "first":
        stretches = [[c for c in run if m <= c.step < m + n] for m in multiples]
        return [stretch[0] for stretch in stretches if stretch]
    if mode == "at_least":
        kept: list[Any] = []
        for c in run:
            if not kept or c.step >= kept[-1].step + n:
                kept.append(c)
        return kept
    groups: dict[int, list[Any]] = {}
    for c in run:
        nearest = min(multiples, key=lambda m: (abs(m - c.step), m // n % 2))
        groups.setdefault(nearest, []).append(c)
    closest = [min(reversed(group), key=lambda c: abs(c.step - m)) for m, group in groups.items()]
    return [*closest, *run[-1:]]


def _listed(rule: Any, saved: Saved, now: float) -> set[int]:
    return {c.id for c in saved if c.step is None or c.step in rule.steps}


def _tagged(rule: Any, saved: Saved, now: float) -> set[int]:
    return {
        c.id
        for c in saved
        for entry in rule.tags
        if all(any(tag == carried for carried in c.tags) for tag in entry.split(","))
    }


def _best(rule: Any, saved: Saved, now: float) -> set[int]:
    everything = _ids(saved)
    name = rule.metric
    if rule.check_mode and "loss" in name and rule.mode == "max":
        return everything
    kept, sure = set(), []
    for c in saved:
        value, recorded_too = c.metrics.get(name), name in c.named and name not in c.evaluated
        if value is None:
            kept |= {c.id} if rule.without_metric == "keep" else set()
        elif recorded_too and not _same_when_rounded(c.named[name], value):
            kept.add(c.id)
        elif math.isfinite(value):
            sure.append(c)
    if not any(math.isfinite(c.metrics.get(name, math.nan)) for c in saved):
        return everything
    for evaluator in {c.evaluated_by if name in c.evaluated else "" for c in sure}:
        group = [c for c in sure if (c.evaluated_by if name in c.evaluated else "") == evaluator]
        all_exact = not any(name in c.named and name not in c.evaluated for c in group)
        if len(group) > max(2, rule.n) and all_exact and len({c.metrics[name] for c in group}) == 1:
            return everything
        order = sorted(group, key=lambda c: c.metrics[name], reverse=rule.mode == "max")
        kept |= _ids(order[: rule.n])
    return kept


def _same_when_rounded(short: float, full: float) -> bool:
    """Whether a file name may give a value so, with no more than one digit after the point."""
    if math.isfinite(short) and math.isfinite(full):
        return abs(short - full) <= (1.0 if short == int(short) else 0.1) + 1e-9
    return math.isfinite(short) == math.isfinite(full)


def _old(rule: Any, saved: Saved, now: float) -> set[int]:
    return {
        c.id for c in saved if c.saved_at < now - rule.seconds and c.seen_at < now - rule.seconds
    }


MODELS: dict[str, Model] = {
    "keep_last": _last,
    **{f"keep_{p}": _periods for p in ("hourly", "daily", "weekly", "monthly", "yearly")},
    "keep_within": _within,
    **{
        f"keep_within_{p}": _within_periods
        for p in ("hourly", "daily", "weekly", "monthly", "yearly")
    },
    "keep_every": _every,
    "keep_every_n_steps": _steps,
    "keep_steps": _listed,
    "keep_tags": _tagged,
    "keep_best": _best,
    "ttl": _old,
    "quarantine_ttl": _old,
}
"""The model of each rule."""

_SPANS = (1.0, HOUR / 2, HOUR, 7 * HOUR, DAY, 3 * DAY, 40 * DAY, 800 * DAY)
_METRICS = ("loss", "loss", "reward")
_OPTIONS: dict[str, Callable[[Random], Any]] = {
    "n": lambda random: random.randint(1, 12),
    "timezone": lambda random: random.choice(ZONES),
    "seconds": lambda random: random.choice(_SPANS),
    "steps": lambda random: tuple(random.choices(range(61), k=random.randint(1, 6))),
    "tags": lambda random: tuple(",".join(_tags(random, 1)) for _ in range(random.randint(1, 3))),
    "metric": lambda random: random.choice(_METRICS),
    "check_mode": lambda random: random.choice([False, True]),
}

_CHANGES = (
    datetime(2026, 10, 25, 1, tzinfo=UTC).timestamp(),
    datetime(2026, 11, 1, 6, tzinfo=UTC).timestamp(),
)
"""When summer time ends in Berlin and in New York."""

_TIMES: tuple[Callable[[Random], float], ...] = (
    lambda random: NOW - random.randint(-8, 8 * 40) * HOUR / 4,
    lambda random: random.choice(_CHANGES) + random.randint(-8, 8) * HOUR / 4,
    lambda random: NOW - random.randint(0, 24 * 30) * HOUR,
    lambda random: NOW - random.randint(-2, 1500) * DAY,
    lambda random: NOW - random.randint(0, 4) * 364 * DAY,  # the same week of other years
    lambda random: random.uniform(NOW - 9e6, NOW + 9e5),
    lambda random: random.choice([0.0, NOW, NOW - HOUR]),
    lambda random: math.nextafter(NOW - random.randint(0, 48) * HOUR, 0.0),
)
_VALUES = (None, None, 0.1, 0.5, 0.5, 2.0, math.nan, math.inf, -math.inf)
_NAMED = (None, None, None, None, 0.1, 0.2, 0.5, 1.0, 2.0, math.nan)
_EVALUATORS = ("", "", "", "a", "b")
_FURTHER = (None, None, -40, -3, 0, *range(1, 12), *range(1, 12))
"""How many steps a checkpoint is after the one before it; it may have none."""


def _tags(random: Random, least: int = 0) -> list[str]:
    return random.sample("abcd", random.randint(least, 3))


def _time(random: Random) -> float:
    return random.choice(_TIMES)(random)


def generated_series(random: Random) -> list[SavedCheckpoint]:
    """Up to 25 checkpoints, newest first, saved and first seen at any time, with any metric."""
    metric = random.choice(_METRICS)
    values, names_give = random.choice([(_VALUES, _NAMED), (_VALUES, _NAMED), ((0.5,), (None,))])
    most, step, made = random.choice([25, 25, 6]), 0, []
    for i, at in enumerate(sorted(_time(random) for _ in range(random.randint(0, most)))):
        further, loss = random.choice(_FURTHER), random.choice(values)
        named, evaluator = random.choice(names_give), random.choice(_EVALUATORS)
        step = max(0, step + (further or 0))
        names = {} if named is None else {metric: named}
        evaluated = frozenset({metric} if evaluator and loss is not None else ())
        made.append(
            SavedCheckpoint(
                i,
                at,
                _time(random),
                None if further is None else step,
                names if loss is None else {metric: loss},
                names,
                evaluated,
                evaluator if evaluated else "",
                frozenset(_tags(random)),
            )
        )
    return made[::-1]


def generated_rule(random: Random, name: str) -> Rule:
    """A rule of the table with any values."""
    spec = next(spec for spec in table.RULES if spec.name == name)
    words = {option.name: get_args(option.type) for option in spec.options}
    fields = [field.name for field in dataclasses.fields(spec.rule)]  # type: ignore[arg-type]
    return spec.rule(
        **{f: _OPTIONS[f](random) if f in _OPTIONS else random.choice(words[f]) for f in fields}
    )


def compare_with_model(name: str, examples: int) -> None:
    """Compare a rule with its model on so many generated series."""

    @settings(max_examples=examples, database=None)
    @given(st.integers(0, 2**63))
    def compare(seed: int) -> None:
        random = Random(seed)  # noqa: S311 - one draw a case: a draw for each value takes 60 times as long
        rule, saved = generated_rule(random, name), generated_series(random)
        now = random.choice([NOW, NOW - 2 * DAY, NOW + 90 * DAY])
        claimed = rule.claim(saved, now)
        wanted = MODELS[name](rule, saved, now)
        assert set(claimed) == wanted, (rule, saved, now)
        assert all(name in reason for reason in claimed.values())
        if "step" not in name:  # where a run begins depends on what is left of the one before it
            left = [checkpoint for checkpoint in saved if checkpoint.id in claimed]
            if name in table.names(table.Effect.KEEP):
                assert set(rule.claim(left, now)) == set(claimed), (rule, saved, now)

    compare()
