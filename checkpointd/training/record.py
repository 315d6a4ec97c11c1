"""Takes a model's golden record: what it predicts now, and where and how it did so."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from checkpointd import golden
from checkpointd.training.library import keras_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from checkpointd.golden import Digest, Golden


def take(
    model: Any,
    inputs: Any,
    *,
    compiled: bool,
    digests: tuple[Digest, ...],
    metrics: Mapping[str, Any] | None,
    step: int | None,
) -> Golden:
    """Run a model on its golden inputs and write down what is to be held against a checkpoint.

    Args:
        model: a Keras model, or any callable.
        inputs: one array, a list of them, or a dict; None records digests and metrics alone.
        compiled: compute by `predict` with the inputs as one batch; else by an eager call.
        digests: of the variables that will be stored.
        metrics: scalars by name; those that are not finite are left out.
        step: the training job's own counter.

    Raises:
        checkpointd.golden.GoldenError: the inputs or outputs are no dense arrays.
        Exception: whatever the model raises.
    """
    fed: dict[str, Any] = {}
    outputs: dict[str, Any] = {}
    input_structure = output_structure = golden.SINGLE
    if inputs is not None:
        fed, input_structure = golden.feed(inputs)
        given = golden.assemble(fed, input_structure)
        outputs, output_structure = golden.named(call(model, given, compiled=compiled))
    return golden.Golden(
        inputs=fed,
        outputs=outputs,
        compiled=compiled,
        digests=digests,
        metrics=finite(metrics),
        step=step,
        environment=surroundings(model),
        input_structure=input_structure,
        output_structure=output_structure,
    )


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
