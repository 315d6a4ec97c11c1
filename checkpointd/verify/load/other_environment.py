"""Compares with a golden record from another environment, within the noise that rounding explains.

Another device, backend, family of CPUs or precision computes the same model with other errors of
rounding. Where counting the products of the model (see `rounding_noise`) does not explain what was
found, the model itself is asked what it makes of rounding errors (see `sensitivity`).
"""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from checkpointd import golden
from checkpointd.core.check_result import CheckResult, failed, passed, skipped
from checkpointd.golden import backends
from checkpointd.verify.load import rounding_noise, sensitivity
from checkpointd.verify.suite import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from checkpointd.golden import Golden
    from checkpointd.verify.load.comparison import Pair
    from checkpointd.verify.load.loaded import Loaded

_MATTERS = ("device", "backend", "cpu", "policy", "precision")


def differences(record: Golden, loaded: Loaded) -> list[str]:
    """Describe how a record's environment differs from this one, as far as outputs depend on it."""
    library = loaded.library
    recorded_policy = record.environment.get("policy", "")
    policy = golden.precision_policy(loaded.model) if library else recorded_policy
    name, version = (library.__name__, library.__version__) if library else ("", "")
    device = backends.describe_device(backends.name_of(library))
    here = golden.describe_environment(name, version, policy, device)
    there = dict(record.environment)
    if "backend" not in there and "tensorflow" in there:  # an older record
        version = there["tensorflow"]
        if version or here["backend"].startswith(backends.TENSORFLOW):
            there["backend"] = f"tensorflow {version}" if version else "other than TensorFlow"
    clauses = [
        f"{key} {_describe_value(there, key)}, here {_describe_value(here, key)}"
        for key in _MATTERS
        if there.get(key) and key in here and there[key] != here[key]
    ]
    recorded = there.get("keras", "")
    if library and recorded and recorded.split(".")[0] != here["keras"].split(".")[0]:
        clauses.append(f"{recorded}, here {here['keras']}")
    return clauses


def _describe_value(environment: Mapping[str, str], key: str) -> str:
    accelerator = environment.get("accelerator", "") if key == "device" else ""
    return f"{environment[key]} ({accelerator})" if accelerator else environment[key]


def judge(
    loaded: Loaded,
    record: Golden,
    pairs: list[Pair],
    compute_again: Callable[[], list[Pair]],
    others: list[str],
    details: dict[str, Any],
) -> CheckResult:
    """Judge what was recorded elsewhere.

    Args:
        loaded: the model.
        record: what was recorded.
        pairs: recorded outputs and those of now.
        compute_again: computes them once more.
        others: in what the environment differs.
        details: of the result, with `atol` and what was found to differ.
    """
    elsewhere = printable("; ".join(others))
    policies = golden.precision_policy(loaded.model) if loaded.library else ""
    kinds = " ".join(str(getattr(pair.actual, "dtype", "")) for pair in pairs)
    precision = rounding_noise.coarsest(
        rounding_noise.precision_of(record.environment), policies, kinds
    )
    expected = rounding_noise.expectation(precision, rounding_noise.products_of(loaded.model))
    atol = details["atol"]
    noises = [rounding_noise.measure(p.name, p.expected, p.actual, atol) for p in pairs]
    limits = [expected] * len(noises)
    if not _explained(noises, limits):
        measured = _sensitivity(loaded, pairs, compute_again, rounding_noise.UNITS[precision], atol)
        limits = [limit.widened(m) for limit, m in zip(limits, measured)]
    details["precision"] = precision
    details["noise"] = [_details(n, limit) for n, limit in zip(noises, limits)]
    summary = printable(
        "; ".join(rounding_noise.describe(n, limit) for n, limit in zip(noises, limits))
    )
    if _explained(noises, limits):
        return passed(
            "predictions",
            f"Equal within the noise of rounding in {precision}, because it was recorded elsewhere "
            f"({elsewhere}): {summary}.",
            **details,
        )
    if max(limit.expected for limit in limits) > rounding_noise.MOST:
        return skipped(
            "predictions",
            f"It was recorded elsewhere ({elsewhere}), and rounding in {precision} alone changes "
            f"what it predicts, so nothing can be compared: {summary}.",
        )
    return failed(
        "predictions",
        "environment_differs",
        f"It was recorded elsewhere ({elsewhere}) and differs by more than rounding in {precision} "
        f"explains: {summary}.",
        **details,
    )


def _details(noise: rounding_noise.Noise, limit: rounding_noise.ExpectedNoise) -> dict[str, Any]:
    """What JSON can hold of one output: an infinite number is None."""
    facts = {**asdict(noise), "expected": limit.expected, "allowed": limit.allowed}
    return {
        key: None if isinstance(value, float) and not math.isfinite(value) else value
        for key, value in facts.items()
    }


def _explained(
    noises: Sequence[rounding_noise.Noise], limits: Sequence[rounding_noise.ExpectedNoise]
) -> bool:
    return all(limit.explains(one) for one, limit in zip(noises, limits))


def _sensitivity(
    loaded: Loaded,
    pairs: list[Pair],
    compute_again: Callable[[], list[Pair]],
    unit: float,
    atol: float,
) -> list[float]:
    """Measure the noise that rounding of weights makes in each output; 0 where it cannot be."""
    nothing = [0.0] * len(pairs)
    try:
        with sensitivity.moved(loaded.model, unit) as done:
            others = compute_again() if done else []
    except Exception:  # noqa: BLE001 - a model raises anything, and it ran before
        return nothing
    if len(others) != len(pairs):
        return nothing
    by = sensitivity.factor(unit)
    return [
        by * rounding_noise.measure(p.name, p.actual, moved.actual, atol).found
        for p, moved in zip(pairs, others)
    ]
