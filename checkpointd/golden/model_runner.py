"""Runs a model on golden inputs: the same way when it is saved and when it is loaded again.

Needs numpy and what the model runs on alone, Python 3.9; both are imported when it is run.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
from typing import TYPE_CHECKING, Any

from checkpointd.golden import arrays, backends

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_MOST_STATE, _MOST_HELD = 1 << 20, 1 << 24
"""Values in one variable that a run may change, and in all of them: counters, seeds, moving
averages, a cell's state. A frozen backbone is not trainable either, and no run changes it."""


def keras_of(model: Any) -> Any:
    """Find the library whose classes a model is made of; None for a plain `tf.Module`."""
    for kind in type(model).__mro__:
        root = kind.__module__.partition(".")[0]
        if root in ("keras", "tf_keras"):
            return importlib.import_module(root)
    return None


def call(model: Any, inputs: Any, *, compiled: bool) -> Any:
    """Compute a model's outputs, in inference mode, with the inputs as one batch.

    Args:
        model: a Keras model, or any callable.
        inputs: one array, a list of them, or a dict.
        compiled: by Keras's `predict`; else by an eager call.

    Raises:
        Exception: whatever the model raises.
    """
    keras = keras_of(model)
    backend = backends.name_of(keras)
    parts = list(arrays.leaves(inputs))
    if compiled:
        if any(arrays.needs_tensor(part) for part in parts):
            inputs = tensors_of(inputs, keras)
        return model.predict(inputs, batch_size=max(1, len(parts[0])), verbose=0)
    with backends.inference(backend):
        tensors = tensors_of(inputs, keras)
        return model(tensors) if keras is None else model(tensors, training=False)


def tensors_of(structure: Any, keras: Any) -> Any:
    """Make tensors of the backend that a Keras library runs on, of each array in a structure.

    Raises:
        arrays.ArrayError: it is text or ragged, which TensorFlow alone has tensors for.
    """
    if backends.name_of(keras) == backends.TENSORFLOW:
        import tensorflow as tf

        return tf.nest.map_structure(tensor_of, structure)

    def converted(value: Any) -> Any:
        if arrays.needs_tensor(value):
            raise arrays.ArrayError(
                f"Text and ragged inputs need the TensorFlow backend, and this is {backend}'s."
            )
        return keras.ops.convert_to_tensor(value)

    backend = backends.name_of(keras)
    return arrays.mapped(converted, structure)


def tensor_of(value: Any) -> Any:
    """Make TensorFlow's tensor of one value, a ragged one of a `Ragged`."""
    import tensorflow as tf

    if isinstance(value, arrays.Ragged):
        flat = tensor_of(value.values)
        return tf.RaggedTensor.from_nested_row_splits(flat, value.splits, validate=False)
    return tf.convert_to_tensor(value)


def packed(structure: Any, flat: list[Any]) -> Any:
    """Put values into a structure such as Keras keeps of a model's inputs."""
    if "tensorflow" in sys.modules:
        return sys.modules["tensorflow"].nest.pack_sequence_as(structure, flat)
    return sys.modules["keras"].tree.pack_sequence_as(structure, flat)


def variables_of(model: Any, kind: str = "variables") -> list[Any]:
    """Return the variables of a model; none of one that was not built, where Keras 2 raises.

    Args:
        model: any object.
        kind: the attribute, such as `trainable_variables`.
    """
    try:
        return list(getattr(model, kind, None) or ())
    except (ValueError, TypeError):
        return []


def state_of(model: Any) -> list[Any]:
    """Find the variables that running a model may change, whether they are saved or not."""
    variables = variables_of(model, "non_trainable_variables")
    walk = getattr(model, "_flatten_layers", None)
    for layer in walk() if callable(walk) else ():
        states = getattr(layer, "states", None)  # of a stateful recurrent layer: saved nowhere
        if states:
            variables += _flat(states)
    return [variable for variable in variables if hasattr(variable, "assign")]


def _flat(value: Any) -> list[Any]:
    if isinstance(value, (list, tuple)):
        return [leaf for item in value for leaf in _flat(item)]
    return [value]


@contextlib.contextmanager
def unchanged(variables: Iterable[Any]) -> Iterator[None]:
    """Restore the values that variables had before the block.

    Taking a golden record must not disturb training (a random seed that moves on, a recurrent
    state), and two runs of a model are compared from the same state.
    """
    import numpy as np

    held: list[tuple[Any, Any]] = []
    left = _MOST_HELD
    for variable in variables:
        with contextlib.suppress(Exception):  # a key's state, or one that has no value yet
            count = int(np.prod(tuple(variable.shape)))
            if count <= min(left, _MOST_STATE):
                held.append((variable, np.array(backends.numpy_of(variable))))
                left -= count
    try:
        yield
    finally:
        for variable, before in held:
            now = backends.numpy_of(variable)
            if before.tobytes() != now.tobytes():
                variable.assign(before)
