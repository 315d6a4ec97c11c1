"""What the root of a TensorFlow checkpoint holds: models and optimizers, by name.

The names of the stored tensors are not enough: one that a model and its optimizer share is stored
under the shorter path, which is the optimizer's in Keras 3. The graph of objects does
(tensorflow/core/protobuf/trackable_object_graph.proto; node 0 is the root).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_OBJECT_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
_STEP_COUNTERS = {"_iterations", "iter"}
"""What every optimizer of Keras counts its steps in."""


@dataclass(frozen=True)
class StoredObjects:
    """The children of a checkpoint's root that may be models (`model` first), or are optimizers.

    `optimizer_count` counts those that belong to one of the models, too. By an optimizer's name,
    `trained` holds the numbers of the variables that it trains, where the graph has it, and
    `slots` the shapes of the optimizer's variables, scalars left out.
    """

    models: tuple[str, ...] = ()
    optimizers: tuple[str, ...] = ()
    optimizer_count: int = 0
    trained: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    slots: Mapping[str, tuple[tuple[int, ...], ...]] = field(default_factory=dict)


def read(prefix: str) -> StoredObjects:
    """Read the graph of objects; a checkpoint of TensorFlow 1 has none.

    Raises:
        Exception: whatever TensorFlow raises.
    """
    import tensorflow as tf
    from tensorflow.core.protobuf import trackable_object_graph_pb2

    reader = tf.compat.v1.train.NewCheckpointReader(prefix)  # an empty prefix too
    if not reader.has_tensor(_OBJECT_GRAPH):
        return StoredObjects()
    graph = trackable_object_graph_pb2.TrackableObjectGraph.FromString(
        reader.get_tensor(_OBJECT_GRAPH)
    )

    def is_optimizer(child: Any) -> bool:
        parts = {part.local_name for part in graph.nodes[child.node_id].children}
        return bool(_STEP_COUNTERS & parts)

    def trained_by(node: Any) -> tuple[int, ...]:
        for part in node.children:
            if part.local_name == "_trainable_variables":
                numbered = graph.nodes[part.node_id].children
                numbered = [c for c in numbered if c.local_name.isdigit()]
                return tuple(c.node_id for c in sorted(numbered, key=lambda c: int(c.local_name)))
        return tuple(dict.fromkeys(s.original_variable_node_id for s in node.slot_variables))

    models, optimizers, nodes = [], [], set()
    trained: dict[str, tuple[int, ...]] = {}
    for child in graph.nodes[0].children:
        if not child.local_name.isidentifier() or graph.nodes[child.node_id].attributes:
            continue  # a variable, such as a step
        if is_optimizer(child):
            optimizers.append(child.local_name)
            trained[child.local_name] = trained_by(graph.nodes[child.node_id])
            nodes.add(child.node_id)
            continue
        models.append(child.local_name)
        inside = [c for c in graph.nodes[child.node_id].children if is_optimizer(c)]
        nodes.update(c.node_id for c in inside)
    models.sort(key=lambda name: (name != "model", name))
    shapes = reader.get_variable_to_shape_map()
    slots = {name: _slots(shapes, f"{name}/_variables/") for name in optimizers}
    return StoredObjects(tuple(models), tuple(optimizers), len(nodes), trained, slots)


def _slots(shapes: Mapping[str, Any], prefix: str) -> tuple[tuple[int, ...], ...]:
    by_number = {
        int(number): tuple(shape)
        for key, shape in shapes.items()
        for number in [key[len(prefix) :].partition("/")[0]]
        if key.startswith(prefix) and number.isdigit()
    }
    return tuple(shape for _, shape in sorted(by_number.items()) if shape)
