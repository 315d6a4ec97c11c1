"""The check `predictions`: what was loaded predicts what the original predicted.

Outputs are computed the way the record's were (eager or compiled, the same batch), because the
two differ in their last bits. What was recorded in another environment may differ by the noise
that rounding explains (see `other_environment`), unless the user set `cross_atol` or `cross_rtol`.
A model that is random at inference has no predictions to compare: two runs in a row show that.
"""

from __future__ import annotations

import functools
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from checkpointd import golden
from checkpointd.core.check_result import CheckResult, failed, passed, skipped
from checkpointd.verify.load import other_environment, replay
from checkpointd.verify.load.comparison import (
    Difference,
    Pair,
    compare,
    compare_pair,
    tolerances,
)
from checkpointd.verify.suite import printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from checkpointd.golden import Golden
    from checkpointd.verify.load.context import LoadContext
    from checkpointd.verify.load.loaded import Loaded


def check(context: LoadContext) -> CheckResult:
    """Replay the golden record and compare."""
    loaded, record = context.loaded, context.record
    if loaded is None:
        return skipped("predictions", context.nothing_loaded)
    if record is None or not (record.outputs or record.signatures):
        return skipped("predictions", context.nothing_recorded)
    replays = replay.plan(loaded, record)
    if isinstance(replays, str):
        return skipped("predictions", replays)
    pairs = _equal_quickly(context, loaded, record, replays)
    if pairs:
        return _judge(context, loaded, record, pairs, replays)
    for one in replays:
        outputs = one.run()
        if len(outputs) != len(one.expected):
            return failed(
                "predictions",
                "mismatch",
                f"{one.label}It gives {len(outputs)} outputs, and the original gave "
                f"{len(one.expected)}.",
            )
        pairs += _pairs(one, outputs)
    return _judge(context, loaded, record, pairs, replays)


def _equal_quickly(
    context: LoadContext, loaded: Loaded, record: Golden, replays: Sequence[replay.Replay]
) -> list[Pair]:
    """Return pairs that are all equal, computed in the quick way; none if that is not certain."""
    settings = context.request.settings
    policy = golden.precision_policy(loaded.model) + record.environment.get("policy", "")
    pairs: list[Pair] = []
    for one in replays:
        outputs = one.run_quickly()
        if outputs is None or len(outputs) != len(one.expected):
            return []
        pairs += _pairs(one, outputs)
    compared = (compare_pair(pair, settings.atol, settings.rtol, policy) for pair in pairs)
    return [] if any(difference.beyond for difference in compared) else pairs


def _judge(
    context: LoadContext,
    loaded: Loaded,
    record: Golden,
    pairs: list[Pair],
    replays: Sequence[replay.Replay],
) -> CheckResult:
    settings = context.request.settings
    others = other_environment.differences(record, loaded)
    policy = golden.precision_policy(loaded.model) + record.environment.get("policy", "")
    strict = tolerances(settings.atol, settings.rtol, policy)
    compared = [compare_pair(pair, settings.atol, settings.rtol, policy) for pair in pairs]
    worst = max((d.max_abs for d in compared), default=0.0)
    details = {
        "outputs": [_finite(asdict(difference)) for difference in compared],
        "compiled": record.compiled,
        "atol": strict[0],
        "rtol": strict[1],
    }
    summary = _describe(compared)
    if any(d.beyond for d in compared):
        random = _stochastic(record, pairs, strict)
        if random:
            return skipped("predictions", f"{random}, so nothing can be compared: {summary}.")
    context.learn(predictions_max_abs_difference=worst if np.isfinite(worst) else None)
    if not any(d.beyond for d in compared):
        return passed("predictions", f"Equal to the original: {summary}.", **details)
    if not others:
        return failed(
            "predictions", "mismatch", f"It predicts something else: {summary}.", **details
        )
    details["environment"] = others
    if settings.cross_atol is not None or settings.cross_rtol is not None:
        given = settings.cross_atol or 0.0, settings.cross_rtol or 0.0
        return _judge_by_setting(pairs, given, policy, printable("; ".join(others)), details)
    return other_environment.judge(
        loaded,
        record,
        pairs,
        lambda: [pair for one in replays for pair in _pairs(one, one.run())],
        others,
        details,
    )


def _judge_by_setting(
    pairs: list[Pair],
    given: tuple[float, float],
    policy: str,
    others: str,
    details: dict[str, Any],
) -> CheckResult:
    """Judge what was recorded elsewhere by the tolerances that the user set."""
    cross = tolerances(*given, policy)
    crossed = [compare_pair(pair, *given, policy) for pair in pairs]
    details.update(cross_atol=cross[0], cross_rtol=cross[1])
    if any(d.beyond for d in crossed):
        return failed(
            "predictions",
            "environment_differs",
            f"It was recorded elsewhere ({others}) and differs by more than cross_atol and "
            f"cross_rtol allow: {_describe(crossed)}.",
            **details,
        )
    return passed(
        "predictions",
        f"Equal within cross_atol and cross_rtol, because it was recorded elsewhere ({others}): "
        f"{_describe(crossed)}.",
        **details,
    )


def _stochastic(record: Golden, pairs: list[Pair], tolerance: tuple[float, float]) -> str:
    """Explain that outputs are random, if two runs in a row differ; empty if they do not."""
    if record.stochastic:
        return "The original gave other outputs at each run (dropout left on, sampling, a state)"
    spread = [compare(p.name, p.actual, p.compute_again(), *tolerance) for p in pairs]
    if not any(d.beyond for d in spread):
        return ""
    return (
        "It gives other outputs at each run, and the original did not (Keras 3 exports random "
        "layers switched on; or a run changes its state): what serves it does so too"
    )


def _pairs(replay_of_record: replay.Replay, outputs: Mapping[str, Any]) -> list[Pair]:
    """Pair outputs with the golden ones, by name where the names agree, else in order."""
    same = set(replay_of_record.expected) == set(outputs)
    keys = dict(zip(replay_of_record.expected, replay_of_record.expected if same else outputs))
    return [
        Pair(
            f"{replay_of_record.label}{name}",
            replay_of_record.expected[name],
            outputs[key],
            functools.partial(_output_again, replay_of_record, key),
        )
        for name, key in keys.items()
    ]


def _output_again(replay_of_record: replay.Replay, key: str) -> Any:
    return replay_of_record.run_second_time()[key]


def _finite(difference: dict[str, Any]) -> dict[str, Any]:
    """What JSON can hold: an infinite difference is None."""
    return {
        key: None if isinstance(value, float) and not np.isfinite(value) else value
        for key, value in difference.items()
    }


def _describe(compared: list[Difference]) -> str:
    return printable(
        "; ".join(
            f"{d.output}: largest absolute difference {d.max_abs:.3g}, relative {d.max_rel:.3g}"
            + (f", {d.beyond} of {d.size} values beyond the tolerance" if d.beyond else "")
            for d in compared
        )
    )
