"""The check `predictions`: what was loaded predicts what the original predicted.

Outputs are computed the way the record's were (eager or compiled, the same batch), because the
two differ in their last bits. Where the model computes in 16 bits, the tolerances are at least
two units in the last place of that type: 2e-3 for float16, 1.6e-2 for bfloat16.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from checkpointd import golden
from checkpointd.checkpoint import CheckResult, failed, passed, skipped
from checkpointd.verify import feeding, keras_models, saved_models
from checkpointd.verify.suite import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from checkpointd.golden import Golden
    from checkpointd.verify.runtime import LoadContext, Loaded

_SIXTEEN_BITS = {"bfloat16": 1.6e-2, "float16": 2e-3}
_MATTERS = ("device", "tensorflow", "cpu", "policy")


@dataclass(frozen=True)
class Difference:
    """How one output differs from its golden values.

    `max_abs` and `max_rel` are the largest differences (infinite where one is not finite and the
    other is, or where the shapes differ); `beyond` counts the values outside the tolerance.
    """

    output: str
    max_abs: float
    max_rel: float
    beyond: int
    size: int


def check(context: LoadContext) -> CheckResult:
    """Replay the golden record and compare."""
    loaded, record = context.loaded, context.record
    if loaded is None:
        return skipped("predictions", context.nothing_loaded)
    if record is None or not record.outputs:
        return skipped("predictions", context.nothing_recorded)
    outputs = replay(loaded, record)
    if isinstance(outputs, str):
        return skipped("predictions", outputs)
    if len(outputs) != len(record.outputs):
        return failed(
            "predictions",
            "mismatch",
            f"It gives {len(outputs)} outputs, and the original gave {len(record.outputs)}.",
        )
    return _judge(context, loaded, record, _pairs(record.outputs, outputs))


def _judge(
    context: LoadContext, loaded: Loaded, record: Golden, pairs: list[tuple[str, Any, Any]]
) -> CheckResult:
    settings = context.request.settings
    others = other_environment(record, loaded)
    policy = golden.policy_of(loaded.model) + record.environment.get("policy", "")
    strict = tolerances(settings.atol, settings.rtol, policy)
    cross = tolerances(settings.cross_atol, settings.cross_rtol, policy)
    found = [compare(name, a, b, *strict) for name, a, b in pairs]
    worst = max((d.max_abs for d in found), default=0.0)
    context.learn(predictions_max_abs_difference=worst if np.isfinite(worst) else None)
    details = {
        "outputs": [_finite(asdict(difference)) for difference in found],
        "compiled": record.compiled,
        "atol": strict[0],
        "rtol": strict[1],
    }
    said = _say(found)
    if not any(d.beyond for d in found):
        return passed("predictions", f"Equal to the original: {said}.", **details)
    if not others:
        return failed("predictions", "mismatch", f"It predicts something else: {said}.", **details)
    elsewhere = printable("; ".join(others))
    crossed = [compare(name, a, b, *cross) for name, a, b in pairs]
    details.update(cross_atol=cross[0], cross_rtol=cross[1], environment=others)
    if any(d.beyond for d in crossed):
        return failed(
            "predictions",
            "environment_differs",
            f"It was recorded elsewhere ({elsewhere}) and differs by more than cross_atol and "
            f"cross_rtol allow: {_say(crossed)}.",
            **details,
        )
    return passed(
        "predictions",
        f"Equal within cross_atol and cross_rtol, because it was recorded elsewhere ({elsewhere}): "
        f"{said}.",
        **details,
    )


def tolerances(atol: float, rtol: float, policy: str) -> tuple[float, float]:
    """Widen tolerances for a model that computes in 16 bits."""
    for name, least in _SIXTEEN_BITS.items():
        if name in policy:
            return max(atol, least), max(rtol, least)
    return atol, rtol


def compare(name: str, expected: Any, actual: Any, atol: float, rtol: float) -> Difference:
    """Compare one output with its golden values: `abs(a - g) <= atol + rtol * abs(g)`.

    NaN equals NaN and an infinity equals itself; what is no number has to be equal.
    """
    expected, actual = _plain(expected), _plain(actual)
    if expected.shape != actual.shape:
        return Difference(name, np.inf, np.inf, max(expected.size, 1), expected.size)
    if expected.dtype.kind not in "biufc" or actual.dtype.kind not in "biufc":
        beyond = int(np.count_nonzero(_texts(expected) != _texts(actual)))
        return Difference(name, float(beyond > 0), float(beyond > 0), beyond, expected.size)
    exact = expected.dtype.kind in "biu" and actual.dtype.kind in "biu"
    wide = np.complex128 if "c" in (expected.dtype.kind, actual.dtype.kind) else np.float64
    golden_values, values = expected.astype(wide), actual.astype(wide)
    same = (golden_values == values) | (np.isnan(golden_values) & np.isnan(values))
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        gap = np.where(same, 0.0, np.abs(values - golden_values))
        size = np.abs(golden_values)
        gap = np.where(np.isfinite(gap), gap, np.inf)
        relative = np.where(gap == 0, 0.0, gap / size)
        relative = np.where(np.isnan(relative), np.inf, relative)
        allowed = 0.0 if exact else atol + rtol * np.where(np.isfinite(size), size, 0.0)
        beyond = int(np.count_nonzero(gap > allowed))
    largest = float(gap.max(initial=0.0))
    return Difference(name, largest, float(relative.max(initial=0.0)), beyond, expected.size)


def replay(loaded: Loaded, record: Golden) -> dict[str, Any] | str:
    """Compute the outputs for the golden inputs, the way the record's were.

    Returns:
        Outputs by name, or why nothing in a SavedModel takes the golden inputs.

    Raises:
        Exception: whatever the model raises.
    """
    given = golden.assemble(record.inputs, record.input_structure)
    if loaded.signatures and _is_saved_model(loaded):
        return _replay_saved_model(loaded, record, given)
    outputs, _ = golden.named(keras_models.call(loaded.model, given, compiled=record.compiled))
    return outputs


def _is_saved_model(loaded: Loaded) -> bool:
    return hasattr(loaded.model, "tensorflow_version") and loaded.library is None


def _replay_saved_model(loaded: Loaded, record: Golden, given: Any) -> dict[str, Any] | str:
    for name, signature in sorted(
        loaded.signatures.items(), key=lambda item: item[0] != keras_models.SIGNATURE
    ):
        feed = feeding.from_record(record, signature)
        names = {spec.name for spec in signature.outputs}
        single = record.output_structure == golden.SINGLE and len(names) == 1
        if feed is not None and (single or names == set(record.outputs)):
            del name
            return signature.run(feed.arrays)
    import tensorflow as tf

    tensors = tf.nest.map_structure(tf.convert_to_tensor, given)
    for function in saved_models.callables(loaded.model):
        try:
            return golden.named(function(tensors))[0]
        except (TypeError, ValueError, golden.GoldenError):  # noqa: PERF203 - made for other arguments
            continue
    return "Nothing in it takes the golden inputs: record those of the signature that is served."


def other_environment(record: Golden, loaded: Loaded) -> list[str]:
    """Say in what the environment of a record differs from this one, as far as outputs go."""
    library = loaded.library
    policy = golden.policy_of(loaded.model) if library else record.environment.get("policy", "")
    name, version = (library.__name__, library.__version__) if library else ("", "")
    here = golden.environment(name, version, policy, "cpu")
    there = record.environment
    found = [
        f"{key} {there[key]}, here {here[key]}"
        for key in _MATTERS
        if there.get(key) and there[key] != here[key]
    ]
    recorded = there.get("keras", "")
    if library and recorded and recorded.split(".")[0] != here["keras"].split(".")[0]:
        found.append(f"{recorded}, here {here['keras']}")
    return found


def _pairs(expected: Mapping[str, Any], actual: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    if set(expected) == set(actual):
        return [(name, expected[name], actual[name]) for name in expected]
    return [(n, a, b) for (n, a), b in zip(expected.items(), actual.values())]


def _plain(values: Any) -> Any:
    array = np.asarray(values)
    return array.astype(np.float32) if array.dtype.kind == "V" else array


def _texts(array: Any) -> Any:
    return np.array(
        [v.decode("utf-8", "replace") if isinstance(v, bytes) else str(v) for v in array.flat],
        dtype=object,
    )


def _finite(difference: dict[str, Any]) -> dict[str, Any]:
    """What JSON can hold: an infinite difference is None."""
    return {
        key: None if isinstance(value, float) and not np.isfinite(value) else value
        for key, value in difference.items()
    }


def _say(found: list[Difference]) -> str:
    return printable(
        "; ".join(
            f"{d.output}: largest absolute difference {d.max_abs:.3g}, relative {d.max_rel:.3g}"
            + (f", {d.beyond} of {d.size} values beyond the tolerance" if d.beyond else "")
            for d in found
        )
    )
