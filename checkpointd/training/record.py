"""Takes a model's golden record: what it predicts now, and where and how it did so.

The model is left as it was: random seeds and recurrent states that a run moves on are put back.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from checkpointd import golden
from checkpointd.golden import arrays, backends, model_runner
from checkpointd.training.library import keras_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from checkpointd.core.report import Digest
    from checkpointd.golden import Golden

_X_Y_WEIGHTS = 3
_UNSAYABLE = object()

_SAME = 1e-6
"""How near, absolute and relative, two runs of a model that is not random come to each other."""


def take(
    model: Any,
    batch: Any,
    *,
    compiled: bool,
    digests: tuple[Digest, ...],
    metrics: Mapping[str, Any] | None,
    step: int | None,
    optimizer: Any = None,
    signatures: Mapping[str, Any] | None = None,
) -> Golden:
    """Run a model on its golden inputs and write down what is to be held against a checkpoint.

    It is run twice: a model that is random at inference (dropout left on, sampling) is noted as
    such.

    Args:
        model: a Keras model, or any callable.
        batch: inputs (one array, a list of them, or a dict), or a tuple as `fit` takes it:
            `(inputs, labels)` or `(inputs, labels, sample_weights)`; None records digests and
            metrics alone. With `signatures` the inputs may also be a dict of such by the signature
            that they are for.
        compiled: compute by `predict` with the inputs as one batch; else by an eager call.
        digests: of the variables that will be stored.
        metrics: scalars by name; those that are not finite are left out.
        step: the training job's own counter.
        optimizer: what the model is trained by.
        signatures: what a SavedModel gets besides the model's own call: functions by name.

    Raises:
        checkpointd.golden.GoldenError: the inputs or outputs can not be recorded.
        Exception: whatever the model raises.
    """
    inputs, labels, weights = split(batch)
    fed: dict[str, Any] = {}
    outputs: dict[str, Any] = {}
    input_structure = output_structure = golden.SINGLE
    targets, label_structure = golden.name_optional(labels, "label")
    weighed, weight_structure = golden.name_optional(weights, "sample_weight")
    stochastic = False
    functions = signatures or {}
    if inputs is not None and not _has_own(inputs, functions):
        fed, input_structure = golden.name_inputs(inputs)
    if fed and (callable(model) or not functions):
        given = golden.assemble(fed, input_structure)
        state = model_runner.state_of(model)
        with model_runner.unchanged(state):
            outputs, output_structure = golden.name_outputs(
                model_runner.call(model, given, compiled=compiled)
            )
            again, _ = golden.name_outputs(model_runner.call(model, given, compiled=compiled))
        stochastic = not all(_same(outputs[name], again[name]) for name in outputs)
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
        stochastic=stochastic,
        signatures=_signatures(functions, model, inputs),
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


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, arrays.Ragged) or isinstance(other, arrays.Ragged):
        return one.shape == other.shape and _same(one.values, other.values)
    if one.dtype.kind not in "fcV":
        return bool(np.array_equal(one, other))
    wide = np.complex128 if one.dtype.kind == "c" else np.float64
    a, b = one.astype(wide), other.astype(wide)
    return a.shape == b.shape and np.allclose(a, b, rtol=_SAME, atol=_SAME, equal_nan=True)


def _signatures(
    signatures: Mapping[str, Any], model: Any, inputs: Any
) -> dict[str, golden.SignatureRun]:
    """Run each signature on the golden inputs: by argument name, else in order.

    One that does not take them is noted without outputs, so that nobody takes it for the model.

    Args:
        signatures: functions by name.
        model: that they belong to.
        inputs: for all of them, or a dict with inputs for each by its name.
    """
    taken: dict[str, golden.SignatureRun] = {}
    own = _has_own(inputs, signatures)
    for name, function in signatures.items():
        given = inputs[name] if own else inputs
        taken[str(name)] = golden.SignatureRun({}, {})
        if given is None:
            continue
        fed, structure = golden.name_inputs(given)
        tensors = {key: model_runner.tensor_of(value) for key, value in fed.items()}
        try:
            with model_runner.unchanged(model_runner.state_of(model)):
                if structure == golden.DICT:
                    outputs = function(**tensors)
                else:
                    outputs = function(*tensors.values())
            taken[str(name)] = golden.SignatureRun(fed, golden.name_outputs(outputs)[0])
        except Exception:
            if own:
                raise
    return taken


def _has_own(inputs: Any, signatures: Mapping[str, Any]) -> bool:
    """Whether golden inputs are told apart by the signature that they are for."""
    return bool(signatures) and isinstance(inputs, dict) and set(inputs) == set(signatures)


def surroundings(model: Any) -> dict[str, str]:
    """Describe the environment that a model runs in; see `golden.environment`."""
    keras = keras_of(model)
    return golden.describe_environment(
        keras.__name__ if keras else "",
        str(keras.__version__) if keras else "",
        golden.precision_policy(model),
        backends.describe_device(backends.name_of(keras)),
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
