"""Records a model: what it predicts now, in which environment and by which kind of run.

The model is left as it was: random seeds and recurrent states that a run changes are restored.
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
_OMITTED = object()

_SAME = 1e-6
"""How much, absolute and relative, two runs of a model that is not random may differ."""


def record_model(
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
    """Run a model on its golden inputs and record what a checkpoint is compared with.

    It is run twice: where the outputs differ (dropout left on, sampling), the record is marked
    as stochastic.

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
    named_inputs: dict[str, Any] = {}
    outputs: dict[str, Any] = {}
    input_structure = output_structure = golden.SINGLE
    targets, label_structure = golden.name_optional(labels, "label")
    weighed, weight_structure = golden.name_optional(weights, "sample_weight")
    stochastic = False
    functions = signatures or {}
    if inputs is not None and not _is_by_signature(inputs, functions):
        named_inputs, input_structure = golden.name_inputs(inputs)
    if named_inputs and (callable(model) or not functions):
        given = golden.assemble(named_inputs, input_structure)
        state = model_runner.state_of(model)
        with model_runner.unchanged(state):
            outputs, output_structure = golden.name_outputs(
                model_runner.call(model, given, compiled=compiled)
            )
            second, _ = golden.name_outputs(model_runner.call(model, given, compiled=compiled))
        stochastic = not all(_same(outputs[name], second[name]) for name in outputs)
    return golden.Golden(
        inputs=named_inputs,
        outputs=outputs,
        labels=targets,
        sample_weights=weighed,
        compiled=compiled,
        digests=digests,
        metrics=finite(metrics),
        step=step,
        environment=environment_of(model),
        input_structure=input_structure,
        output_structure=output_structure,
        label_structure=label_structure,
        weight_structure=weight_structure,
        optimizer=describe_optimizer(optimizer),
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


def describe_optimizer(optimizer: Any) -> dict[str, Any]:
    """Return an optimizer's class and hyperparameters as JSON holds them; empty for none."""
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
        return {key: item for key, item in items.items() if item is not _OMITTED}
    if isinstance(value, (list, tuple)):
        listed = [_plain(item) for item in value]
        return _OMITTED if any(item is _OMITTED for item in listed) else listed
    if isinstance(value, (np.generic, np.ndarray)) and np.ndim(value) == 0:
        return value.item()
    return value if value is None or isinstance(value, (str, int, float)) else _OMITTED


def _same(before: Any, after: Any) -> bool:
    if isinstance(before, arrays.Ragged) or isinstance(after, arrays.Ragged):
        return before.shape == after.shape and _same(before.values, after.values)
    if before.dtype.kind not in "fcV":
        return bool(np.array_equal(before, after))
    wide = np.complex128 if before.dtype.kind == "c" else np.float64
    a, b = before.astype(wide), after.astype(wide)
    return a.shape == b.shape and np.allclose(a, b, rtol=_SAME, atol=_SAME, equal_nan=True)


def _signatures(
    signatures: Mapping[str, Any], model: Any, inputs: Any
) -> dict[str, golden.SignatureRun]:
    """Run each signature on the golden inputs: by argument name, else in order.

    One that does not take them is noted without outputs, so that it is not taken for the model.

    Args:
        signatures: functions by name.
        model: that they belong to.
        inputs: for all of them, or a dict with inputs for each by its name.
    """
    runs: dict[str, golden.SignatureRun] = {}
    by_signature = _is_by_signature(inputs, signatures)
    for name, function in signatures.items():
        given = inputs[name] if by_signature else inputs
        runs[str(name)] = golden.SignatureRun({}, {})
        if given is None:
            continue
        named_inputs, structure = golden.name_inputs(given)
        tensors = {key: model_runner.tensor_of(value) for key, value in named_inputs.items()}
        try:
            with model_runner.unchanged(model_runner.state_of(model)):
                if structure == golden.DICT:
                    outputs = function(**tensors)
                else:
                    outputs = function(*tensors.values())
            runs[str(name)] = golden.SignatureRun(named_inputs, golden.name_outputs(outputs)[0])
        except Exception:
            if by_signature:
                raise
    return runs


def _is_by_signature(inputs: Any, signatures: Mapping[str, Any]) -> bool:
    """Whether golden inputs are given by the name of the signature that they are for."""
    return bool(signatures) and isinstance(inputs, dict) and set(inputs) == set(signatures)


def environment_of(model: Any) -> dict[str, str]:
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
