"""How a model amplifies rounding errors: its weights are moved by as much, and it is run again.

A network that amplifies them (cancellation, a steep softmax, many steps of a recurrent layer) does
so with its own weights and on its own golden inputs, which no count of layers predicts.
"""

from __future__ import annotations

import contextlib
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from checkpointd.core import memory_errors
from checkpointd.golden import backends

if TYPE_CHECKING:
    from collections.abc import Iterator

_SEED = 7
_LEAST_MOVED = 2.0**-12
"""How far weights are moved at least, relative to each: in float32 less would be lost; what comes
of it is scaled down."""

_NARROWEST = 2
_FLOATS = ("float16", "bfloat16", "float32", "float64")


def factor(unit: float) -> float:
    """By what the noise that moved weights make is multiplied, to be what rounding makes.

    Products round their other operand too, independently.
    """
    return math.sqrt(2) * unit / max(unit, _LEAST_MOVED)


@contextlib.contextmanager
def moved(model: Any, unit: float) -> Iterator[bool]:
    """Move each weight that is a factor in a product, at random, by up to `unit` of its size.

    Yields:
        Whether that was done: not where there are none, or no memory for a copy of them. Afterwards
        they are as they were.
    """
    weights = [v for v in _variables(model) if _moves(v)]
    if not weights or not memory_errors.has_memory_for(
        3 * sum(backends.numpy_of(v).nbytes for v in weights)
    ):
        yield False
        return
    rng = np.random.default_rng(_SEED)
    by = max(unit, _LEAST_MOVED)
    held: list[tuple[Any, Any]] = []
    try:
        for weight in weights:
            values = np.array(backends.numpy_of(weight))
            held.append((weight, values))
            noise = rng.uniform(-by, by, values.shape).astype(np.float32)
            weight.assign((values.astype(np.float32) * (1 + noise)).astype(values.dtype))
        yield True
    finally:
        for weight, values in held:
            weight.assign(values)


def _variables(model: Any) -> list[Any]:
    variables = getattr(model, "weights", None) or getattr(model, "variables", None) or ()
    return [] if callable(variables) else list(variables)


def _moves(variable: Any) -> bool:
    kind = str(getattr(variable.dtype, "name", variable.dtype))
    shape = getattr(variable, "shape", ())
    return hasattr(variable, "assign") and kind in _FLOATS and len(shape) >= _NARROWEST
