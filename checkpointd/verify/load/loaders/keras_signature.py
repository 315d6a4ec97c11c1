"""A Keras model as the checks see it: one signature, read from its inputs and outputs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from checkpointd import golden
from checkpointd.golden import model_runner
from checkpointd.golden.arrays import TEXT_KINDS
from checkpointd.verify.load import optimizers
from checkpointd.verify.load.loaded import ArraySpec, GraphSource, Loaded, Signature

if TYPE_CHECKING:
    from collections.abc import Mapping

    from checkpointd.golden import Golden
    from checkpointd.golden.arrays import Array

SIGNATURE = "serving_default"
"""What the one way to run a Keras model is called, as in a SavedModel made of it."""


def wrap(model: Any, library: Any, record: Golden | None) -> Loaded:
    """Describe a Keras model; what it does not declare of its inputs is taken from the record."""
    inputs = _specs(getattr(model, "inputs", None), "input")
    structure = structure_of(model)
    outputs = _specs(getattr(model, "outputs", None), "output")
    if not inputs:
        inputs = _recorded(record) or _built(model)
        by_name = record is not None and record.input_structure == golden.DICT
        structure = {spec.name: None for spec in inputs} if by_name else None

    def run(arrays: Mapping[str, Any]) -> dict[str, Any]:
        given = pack(structure, inputs, arrays)
        outcome, _ = golden.name_outputs(model_runner.call(model, given, compiled=False))
        if len(outputs) == len(outcome):
            return dict(zip((spec.name for spec in outputs), outcome.values()))
        return outcome

    def traced() -> GraphSource:
        import tensorflow as tf

        names = [spec.name for spec in inputs]
        function = tf.function(
            lambda *given: model(pack(structure, inputs, dict(zip(names, given))), training=False),
            autograph=False,
        )
        specs = [tf.TensorSpec(spec.shape, spec.dtype) for spec in inputs]
        return GraphSource.of_function(function.get_concrete_function(*specs), names)

    signature = Signature(inputs, outputs, run, source=traced)
    return Loaded(
        model,
        library,
        {SIGNATURE: signature},
        optimizers.of_model(model),
        state=tuple(model_runner.state_of(model)),
    )


def structure_of(model: Any) -> Any:
    """The structure of a functional model's inputs, as Keras keeps it; None where it keeps none."""
    if not getattr(model, "inputs", None):
        return None
    return getattr(model, "_inputs_struct", getattr(model, "_nested_inputs", None))


def pack(structure: Any, inputs: tuple[ArraySpec, ...], arrays: Mapping[str, Any]) -> Any:
    """Put arrays by input name together as a model is given them."""
    flat = [arrays[spec.name] for spec in inputs]
    if isinstance(structure, dict) and set(structure) == {spec.name for spec in inputs}:
        return {spec.name: array for spec, array in zip(inputs, flat)}
    if structure is not None and not isinstance(structure, (list, tuple)):
        return model_runner.packed(structure, flat)
    return flat[0] if len(flat) == 1 else flat


def _specs(tensors: Any, word: str) -> tuple[ArraySpec, ...]:
    """Describe tensors; a user's class, or FeatureSpace, may keep what it likes by that name."""
    if not isinstance(tensors, (list, tuple)):
        return ()
    if not all(hasattr(tensor, "dtype") and hasattr(tensor, "shape") for tensor in tensors):
        return ()
    specs = []
    for number, tensor in enumerate(tensors):
        name = _layer_name(tensor) or f"{word}_{number}"
        specs.append(ArraySpec(name, _dtype(tensor.dtype), _shape(tensor.shape)))
    if len({spec.name for spec in specs}) < len(specs):
        return tuple(ArraySpec(f"{word}_{i}", s.dtype, s.shape) for i, s in enumerate(specs))
    return tuple(specs)


def _layer_name(tensor: Any) -> str:
    """The layer that a symbolic tensor comes from: tensors themselves are merely numbered."""
    history = getattr(tensor, "_keras_history", None)
    layer = getattr(history, "operation", getattr(history, "layer", None))
    return str(getattr(layer, "name", ""))


def _dtype(dtype: Any) -> str:
    return str(getattr(dtype, "name", dtype))


def _shape(shape: Any) -> tuple[int | None, ...] | None:
    if getattr(shape, "rank", 0) is None:
        return None
    return tuple(None if n is None else int(n) for n in shape)


def _recorded(record: Golden | None) -> tuple[ArraySpec, ...]:
    """The inputs of a model that does not declare them: those that it was run on."""
    if record is None:
        return ()
    return tuple(
        ArraySpec(name, _recorded_dtype(array), (None, *array.shape[1:]))
        for name, array in record.inputs.items()
    )


def _recorded_dtype(array: Array) -> str:
    return "string" if array.dtype.kind in TEXT_KINDS else str(array.dtype)


def _built(model: Any) -> tuple[ArraySpec, ...]:
    """The input that a subclassed model was built for, where it was one array of floats."""
    try:
        shape = (model.get_build_config() or {}).get("input_shape")
    except (AttributeError, NotImplementedError, TypeError, ValueError):
        return ()
    if not isinstance(shape, (list, tuple)) or not all(
        n is None or isinstance(n, int) for n in shape
    ):
        return ()
    return (ArraySpec("input", "float32", (None, *shape[1:])),)
