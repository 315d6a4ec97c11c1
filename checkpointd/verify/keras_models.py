"""A Keras model as the checks see it: one signature, read from its inputs and outputs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from checkpointd import golden
from checkpointd.verify import optimizers, runtime
from checkpointd.verify.runtime import Loaded, Signature, Spec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from checkpointd.golden import Golden

SIGNATURE = "serving_default"
"""What the one way to run a Keras model is called, as in a SavedModel made of it."""


def wrap(model: Any, library: Any, record: Golden | None) -> Loaded:
    """Describe a Keras model; what it does not say about its inputs is taken from the record."""
    inputs = _specs(getattr(model, "inputs", None), "input")
    outputs = _specs(getattr(model, "outputs", None), "output")
    if not inputs:
        inputs = _recorded(record) or _built(model)

    def run(arrays: Mapping[str, Any]) -> dict[str, Any]:
        given = pack(model, inputs, arrays)
        outcome, _ = golden.named(call(model, given, compiled=False))
        if len(outputs) == len(outcome):
            return dict(zip((spec.name for spec in outputs), outcome.values()))
        return outcome

    return Loaded(
        model, library, {SIGNATURE: Signature(inputs, outputs, run)}, optimizers.of_model(model)
    )


def call(model: Any, inputs: Any, *, compiled: bool) -> Any:
    """Compute outputs as `checkpointd.training` does when it records them.

    Args:
        model: a Keras model, or any callable.
        inputs: one array, a list, or a dict.
        compiled: by `predict` with the inputs as one batch; else by an eager call.
    """
    import tensorflow as tf

    if compiled:
        first = tf.nest.flatten(inputs)[0]
        return model.predict(inputs, batch_size=max(1, len(first)), verbose=0)
    tensors = tf.nest.map_structure(tf.convert_to_tensor, inputs)
    if runtime.library_of(model) is None:
        return model(tensors)
    return model(tensors, training=False)


def pack(model: Any, inputs: tuple[Spec, ...], arrays: Mapping[str, Any]) -> Any:
    """Put arrays by input name together as a model is given them."""
    import tensorflow as tf

    structure = None
    if getattr(model, "inputs", None):
        structure = getattr(model, "_inputs_struct", getattr(model, "_nested_inputs", None))
    flat = [arrays[spec.name] for spec in inputs]
    if structure is not None and not isinstance(structure, (list, tuple)):
        return tf.nest.pack_sequence_as(structure, flat)
    return flat[0] if len(flat) == 1 else flat


def _specs(tensors: Any, word: str) -> tuple[Spec, ...]:
    specs = []
    for number, tensor in enumerate(tensors or ()):
        name = _layer_name(tensor) or f"{word}_{number}"
        specs.append(Spec(name, _dtype(tensor.dtype), _shape(tensor.shape)))
    if len({spec.name for spec in specs}) < len(specs):
        return tuple(Spec(f"{word}_{i}", s.dtype, s.shape) for i, s in enumerate(specs))
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


def _recorded(record: Golden | None) -> tuple[Spec, ...]:
    if record is None or record.input_structure == golden.DICT:
        return ()
    return tuple(
        Spec(name, "string" if a.dtype.kind in "OSU" else str(a.dtype), (None, *a.shape[1:]))
        for name, a in record.inputs.items()
    )


def _built(model: Any) -> tuple[Spec, ...]:
    """The input that a subclassed model was built for, where it was one array of floats."""
    try:
        shape = (model.get_build_config() or {}).get("input_shape")
    except (AttributeError, NotImplementedError, TypeError, ValueError):
        return ()
    if not isinstance(shape, (list, tuple)) or not all(
        n is None or isinstance(n, int) for n in shape
    ):
        return ()
    return (Spec("input", "float32", (None, *shape[1:])),)
