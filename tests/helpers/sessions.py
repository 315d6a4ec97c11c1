"""SavedModels that a session of TensorFlow 1 loads, made by TensorFlow's own builder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    Graph = Callable[[Any], "tuple[Mapping[str, Any], dict[str, Any]]"]


def signature(inputs: Mapping[str, Any], outputs: Mapping[str, Any]) -> Any:
    """A signature of tensors, sparse ones too."""
    import tensorflow as tf

    v1 = tf.compat.v1
    info = v1.saved_model.build_tensor_info
    return v1.saved_model.build_signature_def(
        {name: info(tensor) for name, tensor in inputs.items()},
        {name: info(tensor) for name, tensor in outputs.items()},
        "tensorflow/serving/predict",
    )


def write(
    path: Path, build: Graph, tags: Iterable[Iterable[str]] = (("serve",),), *, text: bool = False
) -> Path:
    """Write a SavedModel with a graph for each tag set.

    Args:
        path: its directory, which is not there yet.
        build: of the module `tf.compat.v1`, called in a graph of its own: gives the signatures,
            and what else the builder is to be given.
        tags: of each graph.
        text: write `saved_model.pbtxt`.
    """
    import tensorflow as tf

    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        builder = v1.saved_model.Builder(str(path))
        signatures, more = build(v1)
        if v1.global_variables():
            session.run(v1.global_variables_initializer())
        for number, names in enumerate(tags):
            if number:
                builder.add_meta_graph(list(names), signatures, **more)
            else:
                builder.add_meta_graph_and_variables(session, list(names), signatures, **more)
        builder.save(as_text=text)
    return path


def counter(v1: Any) -> tuple[Mapping[str, Any], dict[str, Any]]:
    """A reference variable that a signature assigns to: no function of TensorFlow 2's gives it."""
    value = v1.get_variable("value", [], use_resource=False, initializer=v1.zeros_initializer())
    return {
        "add": signature({}, {"now": v1.assign_add(value, 1.0)}),
        "look": signature({}, {"now": value}),
    }, {}


def doubled(v1: Any) -> tuple[Mapping[str, Any], dict[str, Any]]:
    """One tensor under the names of two inputs, as TFMA and dotnet export it."""
    x = v1.placeholder("float32", [None, 2], "x")
    return {"serving_default": signature({"a": x, "b": x}, {"y": x * 2.0})}, {}


def illegal(v1: Any) -> tuple[Mapping[str, Any], dict[str, Any]]:
    """Names of inputs that no parameter of a Python function can have."""
    x = v1.placeholder("float32", [None, 2], "x")
    z = v1.placeholder("float32", [None, 2], "z")
    weight = v1.get_variable("w", [2, 2], use_resource=True)
    y = v1.matmul(x + z, weight)
    return {"serving_default": signature({"in": x, "a/b c": z}, {"out": y})}, {}
