"""Slow, obvious models of the retention rules, written from the documentation of what they follow.

Each takes checkpoints, newest first, and returns the ids that stay. restic's documentation of
`forget` describes the calendar and `within` rules, Orbax's of its preservation policies the step,
time and best rules. Nothing here uses the rules' code.
"""

from __future__ import annotations

import dataclasses
import math
from datetime import UTC, datetime, timedelta
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

_OPTIONS: dict[str, st.SearchStrategy[Any]] = {
    "n": st.integers(1, 12),
    "timezone": st.sampled_from(ZONES),
    "seconds": st.sampled_from([1.0, HOUR / 2, HOUR, 7 * HOUR, DAY, 3 * DAY, 40 * DAY, 800 * DAY]),
    "steps": st.lists(st.integers(0, 60), min_size=1, max_size=6).map(tuple),
    "tags": st.lists(
        st.lists(st.sampled_from("abcd"), min_size=1, max_size=3, unique=True).map(",".join),
        min_size=1,
        max_size=3,
    ).map(tuple),
    "metric": st.sampled_from(["loss", "loss", "reward"]),
    "check_mode": st.booleans(),
}

_CHANGES = (datetime(2026, 10, 25, 1, tzinfo=UTC), datetime(2026, 11, 1, 6, tzinfo=UTC))
"""When summer time ends in Berlin and in New York."""

_TIMES = st.one_of(
    st.integers(-8, 8 * 40).map(lambda quarters: NOW - quarters * HOUR / 4),
    st.builds(
        lambda change, quarters: change.timestamp() + quarters * HOUR / 4,
        st.sampled_from(_CHANGES),
        st.integers(-8, 8),
    ),
    st.integers(0, 24 * 30).map(lambda hours: NOW - hours * HOUR),
    st.integers(-2, 1500).map(lambda days: NOW - days * DAY),
    st.integers(0, 4).map(lambda years: NOW - years * 364 * DAY),  # the same week of other years
    st.floats(NOW - 9e6, NOW + 9e5),
    st.sampled_from([0.0, NOW, NOW - HOUR]),
)
_VALUES = st.none() | st.sampled_from([0.1, 0.5, 0.5, 2.0, math.nan, math.inf, -math.inf])
_NAMED = st.none() | st.none() | st.sampled_from([0.1, 0.2, 0.5, 2.0, math.nan])
_EVALUATOR = st.sampled_from(["", "", "", "a", "b"])
_TAGS = st.frozensets(st.sampled_from("abcd"), max_size=3)
_FURTHER = st.none() | st.sampled_from([-40, -3, 0, *range(1, 12), *range(1, 12)])
"""How many steps a checkpoint is after the one before it; it may have none."""


def _series(facts: list[Any]) -> list[SavedCheckpoint]:
    step, made = 0, []
    for i, fact in enumerate(sorted(facts, key=lambda fact: fact[0])):
        at, seen, further, loss, named, evaluator, metric, tags = fact
        step = max(0, step + (further or 0))
        names = {} if named is None else {metric: named}
        metrics = names if loss is None else {metric: loss}
        evaluated = frozenset({metric} if evaluator and loss is not None else ())
        made.append(
            SavedCheckpoint(
                i,
                at,
                seen,
                None if further is None else step,
                metrics,
                names,
                evaluated,
                evaluator if evaluated else "",
                tags,
            )
        )
    return made[::-1]


CHECKPOINTS = st.sampled_from(["loss", "reward"]).flatmap(
    lambda metric: st.lists(
        st.tuples(_TIMES, _TIMES, _FURTHER, _VALUES, _NAMED, _EVALUATOR, st.just(metric), _TAGS),
        max_size=25,
    ).map(_series)
)


def rules(name: str) -> st.SearchStrategy[Rule]:
    """A rule of the table with any values."""
    spec = next(spec for spec in table.RULES if spec.name == name)
    words = {o.name: st.sampled_from(get_args(o.type)) for o in spec.options if get_args(o.type)}
    names = [field.name for field in dataclasses.fields(spec.rule)]  # type: ignore[arg-type]
    values = {name: _OPTIONS.get(name, words.get(name, st.nothing())) for name in names}
    return st.fixed_dictionaries(values).map(lambda chosen: spec.rule(**chosen))


def compare_with_model(name: str, examples: int) -> None:
    """Compare a rule with its model on so many generated series."""

    @settings(max_examples=examples, database=None)
    @given(rules(name), CHECKPOINTS, st.sampled_from([NOW, NOW - 2 * DAY, NOW + 90 * DAY]))
    def compare(rule: Rule, saved: list[SavedCheckpoint], now: float) -> None:
        claimed = rule.claim(saved, now)
        assert set(claimed) == MODELS[name](rule, saved, now)
        assert all(name in reason for reason in claimed.values())
        if "step" not in name:  # where a run begins depends on what is left of the one before it
            left = [checkpoint for checkpoint in saved if checkpoint.id in claimed]
            if name in table.names(table.Effect.KEEP):
                assert set(rule.claim(left, now)) == set(claimed)

    compare()
