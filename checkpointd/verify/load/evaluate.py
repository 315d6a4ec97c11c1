"""The check `evaluate`: the user's function, or held-out data, returns metrics within their bounds.

The values become metrics of the checkpoint (for `keep_best`, in place of what the golden record or
the file's name holds under the same name) and go to Prometheus. A value that is not finite is
within no bound, and never the best.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from checkpointd.core.check_result import CheckResult, failed, passed, skipped
from checkpointd.core.verify_settings import MAX, MAX_METRICS, is_metric_name
from checkpointd.verify import user_code
from checkpointd.verify.load import held_out
from checkpointd.verify.suite import printable
from checkpointd.verify.user_code import UserCodeError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from checkpointd.core.verify_settings import Bound
    from checkpointd.verify.load.context import LoadContext

NAME = "evaluate"
_SLACK = 1e-9
"""What adding and subtracting decimal fractions may cost, by the size of the best value."""


def check(context: LoadContext) -> CheckResult:
    """Evaluate the loaded model and compare the metrics with the bounds."""
    settings = context.request.settings
    if context.loaded is None:
        return skipped(NAME, context.nothing_loaded)
    if not settings.evaluate.is_set:
        return skipped(NAME, "Nothing to evaluate: set evaluate in [watch.verify].")
    user_code.use_python_path(settings)
    try:
        values = numbers(_evaluate(context))
    except UserCodeError as error:
        return failed(NAME, "evaluate_error", str(error))
    context.learn(
        evaluation=values,
        evaluated_by=settings.evaluate.digest,
        metrics={**context.facts.metrics, **values},
    )
    return judge(values, settings.bounds, context.request.best)


def _evaluate(context: LoadContext) -> Any:
    settings, loaded = context.request.settings, context.loaded
    asked = settings.evaluate
    if loaded is None:
        raise AssertionError("check() asks for a loaded model")
    if asked.data:
        custom = user_code.custom_objects(settings)
        data = held_out.read(asked.data, asked.features)
        return held_out.evaluate(loaded, data, asked.metrics, custom)
    function = user_code.resolve(asked.function, f"evaluate is {asked.function!r}")
    what = f"The function {asked.function!r} that evaluate names"
    return user_code.call(function, loaded.model, what)


def numbers(values: Any) -> dict[str, float]:
    """Take metrics from what an evaluation returned.

    Raises:
        UserCodeError: it is no mapping of a few names to one number each.
    """
    if not hasattr(values, "items"):
        raise UserCodeError(
            'evaluate in [watch.verify] has to return metrics, such as {"accuracy": 0.93}: '
            f"it returned a {type(values).__name__}."
        )
    items = list(values.items())
    if not items or len(items) > MAX_METRICS:
        raise UserCodeError(
            f"evaluate in [watch.verify] has to return between 1 and {MAX_METRICS} metrics: "
            f"it returned {len(items)}."
        )
    metrics = {}
    for name, value in items:
        if not isinstance(name, str) or not is_metric_name(name):
            raise UserCodeError(
                f"{printable(repr(name), 100)} cannot be a metric's name: use letters, digits and "
                "_ . : @ - in what evaluate in [watch.verify] returns."
            )
        metrics[name] = _number(name, value)
    return metrics


def _number(name: str, value: Any) -> float:
    array = np.asarray(value)
    if array.size == 1 and array.dtype.kind in "biufV":
        try:
            return float(array.reshape(-1)[0])
        except (TypeError, ValueError):
            pass
    raise UserCodeError(
        f"{name!r} has to be one number in what evaluate in [watch.verify] returns: "
        f"it is {printable(repr(value), 100)}."
    )


def judge(
    values: Mapping[str, float], bounds: Mapping[str, Bound], best: Mapping[str, float]
) -> CheckResult:
    """Decide by the bounds.

    Args:
        values: the metrics of this checkpoint.
        bounds: what they have to be.
        best: the best of the series' valid ones so far, where a bound asks for it.
    """
    details = {
        "metrics": {name: _plain(value) for name, value in values.items()},
        "best": {name: _plain(value) for name, value in best.items()},
    }
    missing = [name for name in bounds if name not in values]
    if missing:
        return failed(
            NAME,
            "evaluate_error",
            f"bounds in [watch.verify] asks for {', '.join(missing)}, and evaluate gave "
            f"{', '.join(values)}: correct one of the two.",
            **details,
        )
    broken = [
        sentence
        for name, bound in bounds.items()
        for sentence in _broken(name, values[name], bound, best.get(name))
    ]
    if broken:
        return failed(NAME, "below_threshold", f"{'; '.join(broken)}.", **details)
    summary = ", ".join(f"{name} {value:.6g}" for name, value in values.items())
    return passed(NAME, f"Evaluated: {summary}.", **details)


def _broken(name: str, value: float, bound: Bound, best: float | None) -> list[str]:
    """Describe each way in which a value is out of bounds."""
    if not math.isfinite(value):
        return [f"{name} is {'NaN' if math.isnan(value) else 'infinite'}"]
    violations = []
    if bound.min is not None and value < bound.min:
        violations.append(f"{name} is {value:.6g}, less than {bound.min:g}")
    if bound.max is not None and value > bound.max:
        violations.append(f"{name} is {value:.6g}, more than {bound.max:g}")
    if bound.within_of_best is not None and best is not None and math.isfinite(best):
        worse = best - value if bound.mode == MAX else value - best
        if worse > bound.within_of_best + _SLACK * max(1.0, abs(best)):
            violations.append(
                f"{name} is {value:.6g}, worse than the series' best {best:.6g} by more than "
                f"{bound.within_of_best:g}"
            )
    return violations


def _plain(value: float) -> float | str:
    """What JSON can hold."""
    return value if math.isfinite(value) else str(value)
