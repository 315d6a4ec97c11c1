"""Loads a Keras model without drawing the random first values that the stored weights replace.

Drawing them takes most of the time of loading a large model. Here large variables begin with zeros
instead, which all of one shape share, so that they take neither time nor memory. What still has
those zeros when the model has come back was not in the file: its initializer runs then, and gives
what it would have given at first, because it draws from a seed of its own.

Only for models that are made of Keras's own classes alone, on TensorFlow: user code may read a
variable before it is loaded.
"""

from __future__ import annotations

import contextlib
import math
import sys
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

_SMALLEST = 1 << 16
"""Values of a variable from which on drawing them takes longer than the calls made here."""

_FLOATS = frozenset({"float16", "bfloat16", "float32", "float64"})
_RANDOM = "keras.src.initializers.random_initializers"
_SCALED = frozenset(
    {"GlorotNormal", "GlorotUniform", "HeNormal", "HeUniform", "LecunNormal", "LecunUniform"}
)
"""Initializers whose only argument is a seed: the first value drawn in a process takes 10 ms."""

_MOST_SEED = 1 << 32
_AXES = ("input_axes", "output_axes")
_CONSTANT = "keras.src.initializers.constant_initializers"
_VARIABLES = "keras.src.backend.tensorflow.core"
_HOOK = "_initialize_with_initializer"


class _Waiting:
    """Variables that have no first values of their own yet, each with its initializer."""

    def __init__(self, plain: Any) -> None:
        self._plain = plain
        self._zeros: dict[tuple[tuple[int, ...], str], Any] = {}
        self.variables: list[tuple[Any, Any]] = []

    def begin(self, variable: Any, initializer: Any) -> None:
        """Give a variable its first values: shared zeros where those can be replaced later."""
        shape, dtype = _shape_and_dtype(variable)
        is_random = _is_random(initializer, shape, dtype)
        if not is_random and not _is_zeros(initializer, shape):
            self._plain(variable, initializer)
            return
        if is_random and not _never_fails(initializer):
            initializer((1,) * len(shape), dtype=dtype)  # it fails as it would for all values
        zeros = self._shared_zeros(shape, dtype)
        variable._initialize(lambda: zeros)  # noqa: SLF001 - what Keras calls here itself
        if is_random:
            self.variables.append((variable, initializer))
            if not self._has_zeros(variable):  # they were copied, and could not be told apart
                self.variables.pop()
                _draw(variable, initializer)

    def finish(self) -> None:
        """Draw the first values of what was not in the file."""
        for variable, initializer in self.variables:
            if self._has_zeros(variable):
                _draw(variable, initializer)

    def _shared_zeros(self, shape: tuple[int, ...], dtype: str) -> Any:
        import tensorflow as tf

        key = (shape, dtype)
        if key not in self._zeros:
            self._zeros[key] = tf.zeros(shape, dtype)
        return self._zeros[key]

    def _has_zeros(self, variable: Any) -> bool:
        """Whether a variable still has the memory of the zeros that it began with."""
        zeros = self._zeros[_shape_and_dtype(variable)]
        return _address(_stored(variable).read_value()) == _address(zeros)


def _shape_and_dtype(variable: Any) -> tuple[tuple[int, ...], str]:
    """What it is made with; its public properties may not be there yet, or follow a policy."""
    return tuple(variable._shape), str(variable._dtype)  # noqa: SLF001


def _stored(variable: Any) -> Any:
    """The variable of TensorFlow in one of Keras; its `value` may be a cast of it."""
    return variable._value  # noqa: SLF001


def _address(tensor: Any) -> int:
    """Where an eager tensor on the CPU has its values, which numpy shares."""
    address: int = np.asarray(tensor).__array_interface__["data"][0]
    return address


def _draw(variable: Any, initializer: Any) -> None:
    shape, dtype = _shape_and_dtype(variable)
    _stored(variable).assign(initializer(shape, dtype=dtype))


def _is_random(initializer: Any, shape: tuple[int, ...], dtype: str) -> bool:
    """Whether these are large random values of Keras's own, drawn from a seed that is fixed."""
    kind = type(initializer)
    return (
        math.prod(shape) >= _SMALLEST
        and dtype in _FLOATS
        and kind.__module__ == _RANDOM
        and type(getattr(initializer, "seed", None)) is int
    )


def _never_fails(initializer: Any) -> bool:
    """Whether values can be drawn for any shape, as nothing but a seed was configured."""
    is_scaled = type(initializer).__name__ in _SCALED and 0 <= initializer.seed < _MOST_SEED
    return is_scaled and all(getattr(initializer, name, None) is None for name in _AXES)


def _is_zeros(initializer: Any, shape: tuple[int, ...]) -> bool:
    """Whether these are many zeros, which are right whether they are replaced or not."""
    kind = type(initializer)
    large = math.prod(shape) >= _SMALLEST
    return large and kind.__module__ == _CONSTANT and kind.__name__ == "Zeros"


@contextlib.contextmanager
def drawn_late() -> Iterator[list[Any]]:
    """A block in which Keras 3 on TensorFlow draws only first values that are not replaced.

    Where this Keras makes its variables in another way, nothing is changed.

    Yields:
        A list that holds the variables that did not begin with random values of their own.
    """
    kind = getattr(sys.modules.get(_VARIABLES), "Variable", None)
    plain = vars(kind).get(_HOOK) if kind is not None else None
    if kind is None or not callable(plain):
        yield []
        return
    waiting = _Waiting(plain)

    def begin(variable: Any, initializer: Any) -> None:
        waiting.begin(variable, initializer)

    setattr(kind, _HOOK, begin)
    try:
        yield waiting.variables
    finally:
        setattr(kind, _HOOK, plain)
    waiting.finish()
