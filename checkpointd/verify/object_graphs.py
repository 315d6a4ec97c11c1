"""What the root of a TensorFlow checkpoint holds: models and optimizers, by name.

The names of the stored tensors do not tell: one that a model and its optimizer share is stored
under the shorter path, which is the optimizer's in Keras 3. The graph of objects does
(tensorflow/core/protobuf/trackable_object_graph.proto; node 0 is the root).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

_OBJECT_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
_STEP_COUNTERS = {"_iterations", "iter"}
"""What every optimizer of Keras counts its steps in."""


@dataclass(frozen=True)
class StoredObjects:
    """The children of a checkpoint's root that may be models (`model` first), or are optimizers.

    `optimizer_count` counts those that belong to one of the models, too.
    """

    models: tuple[str, ...] = ()
    optimizers: tuple[str, ...] = ()
    optimizer_count: int = 0


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

    models, optimizers, nodes = [], [], set()
    for child in graph.nodes[0].children:
        if not child.local_name.isidentifier() or graph.nodes[child.node_id].attributes:
            continue  # a variable, such as a step
        if is_optimizer(child):
            optimizers.append(child.local_name)
            nodes.add(child.node_id)
            continue
        models.append(child.local_name)
        inside = [c for c in graph.nodes[child.node_id].children if is_optimizer(c)]
        nodes.update(c.node_id for c in inside)
    models.sort(key=lambda name: (name != "model", name))
    return StoredObjects(tuple(models), tuple(optimizers), len(nodes))
