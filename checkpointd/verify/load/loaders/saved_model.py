"""A SavedModel as the checks see it: its signatures, and the callables that Keras left in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from checkpointd.golden.arrays import ArrayError, array_of
from checkpointd.verify.load.inputs.limits import GraphSource
from checkpointd.verify.load.runtime import Loaded, Signature, Spec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_SERVE = "serve"


LOADER = "saved_model"


def load(path: str, tags: Sequence[str] | None = None) -> Loaded:
    """Load a SavedModel with TensorFlow's own loader.

    Args:
        path: its directory.
        tags: of the graph to load; None where there is only one.

    Raises:
        Exception: whatever TensorFlow raises.
    """
    import tensorflow as tf

    model = tf.saved_model.load(path, tags=None if tags is None else list(tags))
    signatures = {name: _signature(function) for name, function in model.signatures.items()}
    return Loaded(model, None, signatures, state=_state(model))


def _state(model: Any) -> tuple[Any, ...]:
    functions = [*model.signatures.values(), getattr(model, _SERVE, None)]
    captured = [v for f in functions for v in getattr(f, "variables", None) or ()]
    unique = {id(v): v for v in captured}.values()
    return tuple(sorted(unique, key=lambda v: getattr(v, "trainable", True)))  # states come first


def callables(model: Any) -> list[Callable[[Any], Any]]:
    """The ways in which Keras runs a model that it exported, the structure of inputs kept."""
    found: list[Callable[[Any], Any]] = []
    serve = getattr(model, _SERVE, None)
    if callable(serve):
        found.append(serve)
    if callable(model):
        found += [lambda inputs: model(inputs, training=False), model]
    return found


def _signature(function: Any) -> Signature:
    import tensorflow as tf

    keywords = function.structured_input_signature[1]
    order = list(getattr(function, "_arg_keywords", None) or sorted(keywords))
    found = {name: keywords.get(name, keywords.get(_sanitized(name))) for name in order}
    specs = {name: spec for name, spec in found.items() if spec is not None}
    outputs = function.structured_outputs
    named = outputs if isinstance(outputs, dict) else {}

    def run(arrays: Mapping[str, Any]) -> dict[str, Any]:
        tensors = {
            name: tf.cast(arrays[name], spec.dtype)
            if spec.dtype.is_floating
            else tf.constant(arrays[name], spec.dtype)
            for name, spec in specs.items()
        }
        return {name: _array(value, name) for name, value in function(**tensors).items()}

    return Signature(
        tuple(_spec(name, spec) for name, spec in specs.items()),
        tuple(_spec(name, spec) for name, spec in sorted(named.items())),
        run,
        in_parts=True,
        source=lambda: graph_of(function, list(specs)),
    )


def graph_of(function: Any, names: Sequence[str]) -> GraphSource:
    """Give the graph of a concrete function, whose first inputs have these names."""
    inputs = dict(zip(names, (tensor.op.name for tensor in function.inputs)))
    captured = {inside.op.name: outside for outside, inside in function.graph.captures}
    shapes = {id(v.handle): tuple(v.shape) for v in function.variables if hasattr(v, "handle")}
    return GraphSource(
        function.graph.as_graph_def(add_shapes=True),
        inputs,
        captured,
        {name: shapes[id(h)] for name, h in captured.items() if id(h) in shapes},
    )


def _sanitized(name: str) -> str:
    """What TensorFlow calls a parameter for an input with a name such as `x-1` or `a/b`."""
    plain = "".join(c if c.isalnum() else "_" for c in name)
    return plain if plain[:1].isalpha() else f"arg_{plain}"


def _array(value: Any, name: str) -> Any:
    try:
        return array_of(value, name)
    except ArrayError:  # sparse, for one: nobody compares it
        return value


def _spec(name: str, spec: Any) -> Spec:
    import tensorflow as tf

    if not hasattr(spec, "dtype") or isinstance(spec, (tf.RaggedTensorSpec, tf.SparseTensorSpec)):
        return Spec(name, type(spec).__name__, None)
    shape = spec.shape
    return Spec(name, spec.dtype.name, None if shape.rank is None else tuple(shape.as_list()))
