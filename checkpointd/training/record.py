"""Takes a model's golden record: what it predicts now, and where and how it did so."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from checkpointd import golden
from checkpointd.training.library import keras_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from checkpointd.checkpoint import Digest
    from checkpointd.golden import Golden

_X_Y_WEIGHTS = 3
_UNSAYABLE = object()


def take(
    model: Any,
    batch: Any,
    *,
    compiled: bool,
    digests: tuple[Digest, ...],
    metrics: Mapping[str, Any] | None,
    step: int | None,
    optimizer: Any = None,
) -> Golden:
    """Run a model on its golden inputs and write down what is to be held against a checkpoint.

    Args:
        model: a Keras model, or any callable.
        batch: inputs (one array, a list of them, or a dict), or a tuple as `fit` takes it:
            `(inputs, labels)` or `(inputs, labels, sample_weights)`; None records digests and
            metrics alone.
        compiled: compute by `predict` with the inputs as one batch; else by an eager call.
        digests: of the variables that will be stored.
        metrics: scalars by name; those that are not finite are left out.
        step: the training job's own counter.
        optimizer: what the model is trained by.

    Raises:
        checkpointd.golden.GoldenError: the inputs or outputs are no dense arrays.
        Exception: whatever the model raises.
    """
    inputs, labels, weights = split(batch)
    fed: dict[str, Any] = {}
    outputs: dict[str, Any] = {}
    input_structure = output_structure = golden.SINGLE
    targets, label_structure = golden.optional(labels, "label")
    weighed, weight_structure = golden.optional(weights, "sample_weight")
    if inputs is not None:
        fed, input_structure = golden.feed(inputs)
        given = golden.assemble(fed, input_structure)
        outputs, output_structure = golden.named(call(model, given, compiled=compiled))
    return golden.Golden(
        inputs=fed,
        outputs=outputs,
        labels=targets,
        sample_weights=weighed,
        compiled=compiled,
        digests=digests,
        metrics=finite(metrics),
        step=step,
        environment=surroundings(model),
        input_structure=input_structure,
        output_structure=output_structure,
        label_structure=label_structure,
        weight_structure=weight_structure,
        optimizer=described(optimizer),
    )


def split(batch: Any) -> tuple[Any, Any, Any]:
    """Take a golden batch apart as `fit` does: a tuple is inputs, labels and sample weights.

    Raises:
        checkpointd.golden.GoldenError: a tuple is empty, or holds more than these three.
    """
    if not isinstance(batch, tuple):
        return batch, None, None
    if not 1 <= len(batch) <= _X_Y_WEIGHTS or batch[0] is None:
        raise golden.GoldenError(
            "golden is a tuple, which is read as (inputs, labels, sample_weights): give a model of "
            "several inputs a list or a dict of them."
        )
    inputs, labels, weights = (*batch, None, None)[:_X_Y_WEIGHTS]
    return inputs, labels, weights


def described(optimizer: Any) -> dict[str, Any]:
    """Say an optimizer's class and hyperparameters as JSON holds them; empty for none."""
    if optimizer is None:
        return {}
    try:
        config = optimizer.get_config()
    except Exception:  # noqa: BLE001 - a user's own optimizer; the checkpoint comes first
        config = {}
    return {"class_name": type(optimizer).__name__, "config": _plain(config)}


def _plain(value: Any) -> Any:
    """What JSON can hold of a configuration; what it cannot is left out."""
    if isinstance(value, dict):
        items = {str(key): _plain(item) for key, item in value.items()}
        return {key: item for key, item in items.items() if item is not _UNSAYABLE}
    if isinstance(value, (list, tuple)):
        listed = [_plain(item) for item in value]
        return _UNSAYABLE if any(item is _UNSAYABLE for item in listed) else listed
    if isinstance(value, (np.generic, np.ndarray)) and np.ndim(value) == 0:
        return value.item()
    return value if value is None or isinstance(value, (str, int, float)) else _UNSAYABLE


def call(model: Any, inputs: Any, *, compiled: bool) -> Any:
    """Compute a model's outputs, in inference mode, with the inputs as one batch."""
    first = next(iter(inputs.values())) if isinstance(inputs, dict) else inputs
    first = first[0] if isinstance(first, list) else first
    if compiled:
        return model.predict(inputs, batch_size=max(1, len(first)), verbose=0)
    import tensorflow as tf

    tensors = tf.nest.map_structure(tf.convert_to_tensor, inputs)
    if keras_of(model) is None:
        return model(tensors)
    return model(tensors, training=False)


def surroundings(model: Any) -> dict[str, str]:
    """Describe the environment that a model runs in; see `golden.environment`."""
    import tensorflow as tf

    keras = keras_of(model)
    return golden.environment(
        keras.__name__ if keras else "",
        str(keras.__version__) if keras else "",
        golden.policy_of(model),
        "gpu" if tf.config.list_physical_devices("GPU") else "cpu",
    )


def finite(metrics: Mapping[str, Any] | None) -> dict[str, float]:
    """Turn a log's scalars (numpy's, TensorFlow's) into floats, without NaN and infinity."""
    numbers: dict[str, float] = {}
    for name, value in (metrics or {}).items():
        try:
            number = float(value)
        except (TypeError, ValueError):
            continue
        if math.isfinite(number):
            numbers[str(name)] = number
    return numbers
