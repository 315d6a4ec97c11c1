"""One real training step on a loaded model, which can be left with the weights that it had.

With labels in the golden record it is the model's own `train_step`, given its batch as `fit` gives
it, and whatever goes wrong counts. Without labels nothing that rests on made-up ones may count:
the gradient of the mean square of the model's own outputs is given to the optimizer, and only
what the optimizer makes of it counts. Both run eagerly: tracing takes longer than the step.
"""

from __future__ import annotations

import contextlib
import itertools
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from checkpointd import golden
from checkpointd.core import memory_errors
from checkpointd.golden import backends, model_runner
from checkpointd.verify.load.inputs import made_inputs
from checkpointd.verify.load.load_errors import one_line
from checkpointd.verify.load.loaders import keras_signature
from checkpointd.verify.tf_errors import environment_problem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from checkpointd.golden import Golden
    from checkpointd.verify.load.loaded import Loaded

_TEXT = 400
_MOST_TRIES = 8
_SLACK = 128 << 20
"""Bytes for what a step needs besides gradients and a copy of the weights."""


@dataclass(frozen=True)
class TrainStep:
    """What came of a training step.

    `made`: it was made and all is finite. `failed` explains why training cannot go on; `note` why
    no step could be made, or on what it was made.
    """

    made: bool = False
    failed: str = ""
    note: str = ""
    loss: float | None = None


class _NotMadeError(Exception):
    """No step can be made, which is no fault; the message explains why."""


def make(loaded: Loaded, record: Golden | None, *, put_back: bool = True) -> TrainStep:
    """Make one training step, where one can be made.

    Args:
        loaded: the model and its optimizer.
        record: whose batch it is made on; without one it is made on inputs from the model's spec.
        put_back: restore the weights afterwards, which takes a copy of them.
    """
    try:
        _check_possible(loaded.model)
        with contextlib.ExitStack() as stack:
            if put_back:
                stack.enter_context(_put_back(loaded.model))
            stack.enter_context(warnings.catch_warnings())
            warnings.simplefilter("ignore")
            return _attempt(loaded, record)
    except _NotMadeError as reason:
        return TrainStep(note=str(reason))


def _check_possible(model: Any) -> None:
    """Check before the step.

    Raises:
        _NotMadeError: none can be made.
    """
    variables = model_runner.variables_of(model, "trainable_variables")
    if not variables:
        raise _NotMadeError("it has no weight that is trained")
    if not _finite(variables):
        raise _NotMadeError("its weights are not finite")
    if not has_room(model):
        raise _NotMadeError("a step needs more memory than this worker has: raise [worker] memory")


def _attempt(loaded: Loaded, record: Golden | None) -> TrainStep:
    model, optimizers = loaded.model, loaded.optimizers
    if record is not None and record.inputs and _is_compiled(model):
        if record.labels:
            return _model_step(model, _batch(record))
        if _has_user_step(model):
            with contextlib.suppress(Exception):  # it may need labels, which were not recorded
                step = _model_step(model, _batch(record))
                if step.made:
                    return step
    if backends.name_of(loaded.library) != backends.TENSORFLOW:
        raise _NotMadeError("no labels were recorded, which a step on this backend needs")
    if len(optimizers) != 1:
        raise _NotMadeError("it has several optimizers, and no labels were recorded")
    return _step_on_outputs(loaded, optimizers[0], record)


def _batch(record: Golden) -> list[Any]:
    """The golden batch: inputs, labels, sample weights."""
    parts = [golden.assemble(record.inputs, record.input_structure)]
    if record.labels:
        parts.append(golden.assemble(record.labels, record.label_structure))
    if record.sample_weights:
        parts.append(golden.assemble(record.sample_weights, record.weight_structure))
    return parts


def _make_step(model: Any, batch: list[Any]) -> Any:
    """Make a step as `fit` does on the backend that a model runs on; returns its logs."""
    if backends.name_of(model_runner.keras_of(model)) != backends.TENSORFLOW:
        return model.train_on_batch(*batch, return_dict=True)
    import tensorflow as tf

    tensors = tf.nest.map_structure(tf.convert_to_tensor, batch)
    return model.train_step(tuple(tensors) if len(tensors) > 1 else tensors[0])


def _model_step(model: Any, batch: list[Any]) -> TrainStep:
    try:
        logs = _make_step(model, batch)
    except Exception as error:  # noqa: BLE001 - a model raises anything
        return _judged(error)
    loss = _loss(logs)
    if loss is not None and not np.isfinite(loss):
        return TrainStep(failed=f"its loss on the golden batch is {loss}")
    if not _finite(model.trainable_variables):
        return TrainStep(failed="a step on the golden batch makes its weights NaN or infinite")
    return TrainStep(made=True, note="on the golden batch", loss=loss)


def _step_on_outputs(loaded: Loaded, optimizer: Any, record: Golden | None) -> TrainStep:
    """Step down the mean square of the outputs, as any loss would have it done."""
    variables, gradients = _gradients(loaded, record)
    try:
        optimizer.apply_gradients(zip(gradients, variables))
    except Exception as error:  # noqa: BLE001 - an optimizer raises anything
        return _judged(error)
    if not _finite(variables):
        return TrainStep(
            failed="its optimizer turns finite gradients into weights that are not finite"
        )
    return TrainStep(made=True, note="on its own outputs (no labels were recorded)")


def _gradients(loaded: Loaded, record: Golden | None) -> tuple[list[Any], list[Any]]:
    """Return the variables that some output depends on, and the gradients for them.

    Raises:
        _NotMadeError: there is nothing to run it on, or nothing to be learned from its outputs.
    """
    import tensorflow as tf

    problem = "nothing is known of its inputs"
    for given in _inputs(loaded, record):
        tensors = tf.nest.map_structure(tf.convert_to_tensor, given)
        trained = {} if loaded.library is None else {"training": True}
        try:
            with tf.GradientTape() as tape:
                outputs = tf.nest.flatten(loaded.model(tensors, **trained))
                loss = tf.add_n(
                    [
                        tf.reduce_mean(tf.square(tf.cast(output, tf.float32)))
                        for output in outputs
                        if output.dtype.is_floating
                    ]
                )
            variables = list(loaded.model.trainable_variables)
            gradients = tape.gradient(loss, variables)
        except Exception as error:  # noqa: BLE001 - a model raises anything
            problem = f"it cannot be differentiated here: {one_line(str(error), _TEXT)}"
            continue
        pairs = [(v, g) for v, g in zip(variables, gradients) if g is not None]
        if not pairs:
            raise _NotMadeError("none of its outputs depends on a weight that is trained")
        if not _finite([g for _, g in pairs]):
            problem = "its gradients are not finite without its own loss"
            continue
        return [v for v, _ in pairs], [g for _, g in pairs]
    raise _NotMadeError(problem)


def _inputs(loaded: Loaded, record: Golden | None) -> Iterator[Any]:
    """What it can be run on: the golden inputs, else inputs made from its spec."""
    if record is not None and record.inputs:
        yield golden.assemble(record.inputs, record.input_structure)
        return
    for signature in loaded.signatures.values():
        if not signature.inputs:
            continue
        structure = keras_signature.structure_of(loaded.model)
        with contextlib.suppress(made_inputs.CannotMakeError):
            for feed in itertools.islice(made_inputs.tries(signature), _MOST_TRIES):
                yield keras_signature.pack(structure, signature.inputs, feed.arrays)


def _judged(error: Exception) -> TrainStep:
    text = one_line(f"{type(error).__name__}: {error}", _TEXT)
    if environment_problem(error) is not None:
        return TrainStep(note=f"this machine cannot make one: {text}")
    return TrainStep(failed=f"a training step fails with {text}")


def _loss(logs: Any) -> float | None:
    value = logs.get("loss") if isinstance(logs, dict) else None
    with contextlib.suppress(TypeError, ValueError):
        return None if value is None else float(value)
    return None


def _is_compiled(model: Any) -> bool:
    return bool(getattr(model, "compiled", getattr(model, "_is_compiled", False)))


def _has_user_step(model: Any) -> bool:
    module = getattr(getattr(type(model), "train_step", None), "__module__", "keras")
    return module.partition(".")[0] not in ("keras", "tf_keras")


def _finite(values: Any) -> bool:
    for value in values:
        sparse = hasattr(value, "indices") and hasattr(value, "dense_shape")
        array = backends.numpy_of(value.values if sparse else value)
        if array.dtype.kind == "V" or "float" in str(array.dtype):
            array = array.astype(np.float32, copy=False)
        if array.dtype.kind in "fc" and not np.isfinite(array).all():
            return False
    return True


@contextlib.contextmanager
def _put_back(model: Any) -> Iterator[None]:
    """Restore the model's weights: the checks that follow need it as it was loaded."""
    kept = [
        (variable, np.array(backends.numpy_of(variable)))
        for variable in model_runner.variables_of(model)
    ]
    try:
        yield
    finally:
        for variable, value in kept:
            variable.assign(value)


def has_room(model: Any) -> bool:
    """Whether a copy of the weights and their gradients still fit into what a child may hold."""
    weights = sum(backends.numpy_of(v).nbytes for v in model_runner.variables_of(model))
    return memory_errors.has_memory_for(3 * weights + _SLACK)
