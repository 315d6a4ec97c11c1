"""Gets a file or prefix into the hands of Keras, without leaving anything beside it."""

from __future__ import annotations

import contextlib
import os
import tempfile
import warnings
from typing import TYPE_CHECKING, Any

from checkpointd import golden
from checkpointd.checkpoint import Format
from checkpointd.verify.user_code import UserCodeError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from checkpointd.golden import Golden
    from checkpointd.verify.origin import Origin

_ENDINGS = {Format.KERAS: ".keras", Format.HDF5: ".h5", Format.HDF5_WEIGHTS: ".weights.h5"}
_OBJECT_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
_OPTIMIZERS = {"_iterations", "iter"}
"""What every optimizer of Keras counts its steps in."""


@contextlib.contextmanager
def alias(path: str, form: Format, ending: str = "") -> Iterator[str]:
    """Give a file a name of our own, in our own directory, while Keras reads it.

    Keras chooses its reader by the name's ending, where content decides for us; and when memory
    is short it unpacks a `.keras` file into the directory of the name it was given.

    Args:
        path: the file.
        form: what it is.
        ending: the ending to give it, in place of the format's usual one.
    """
    with tempfile.TemporaryDirectory(prefix="checkpointd-") as directory:
        name = os.path.join(directory, "model" + (ending or _ENDINGS[form]))
        os.symlink(os.path.abspath(path), name)
        yield name


def build_variables(model: Any, record: Golden | None, builder: str) -> None:
    """Make sure that a builder's model has its variables, so that there is something to fill.

    Raises:
        UserCodeError: it has none, and there is no golden batch to call it with.
    """
    if getattr(model, "variables", None):
        return
    if record is not None and record.inputs:
        model(golden.assemble(record.inputs, record.input_structure))
    if not getattr(model, "variables", None):
        raise UserCodeError(
            f"The model that the builder {builder!r} returns has no variables yet: call it once on "
            "an input inside the builder."
        )


def hdf5_weights(model: Any, path: str, origin: Origin) -> str:
    """Load an HDF5 file of weights into a model; returns how.

    Raises:
        Exception: whatever Keras raises when they do not fit.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if path.endswith(".json"):  # names its shards relative to itself
            model.load_weights(path)
            return "from sharded weights"
        ending = ".h5" if origin.legacy_layout else ".weights.h5"
        with alias(path, Format.HDF5_WEIGHTS, ending) as name:
            model.load_weights(name)
    return "by layers" if origin.legacy_layout else "by paths"


def tf_checkpoint(model: Any, prefix: str) -> str:
    """Restore a TensorFlow checkpoint into a model; returns under which name it was found there.

    It is looked for under every name that the checkpoint's root has, then as the root itself
    (`model.save_weights(prefix)` of tf-keras). All variables of the model have to be matched.

    Raises:
        AssertionError: a variable of the model was not found in it.
        Exception: whatever TensorFlow raises.
    """
    import tensorflow as tf

    attempts = [(f"as {name!r}", {name: model}) for name in _children(prefix)]
    attempts.append(("as the root", {"root": model}))
    problem: Exception | None = None
    for how, parts in attempts:
        try:
            status = tf.train.Checkpoint(**parts).read(prefix)
            status.expect_partial()
            status.assert_existing_objects_matched()
        except (AssertionError, ValueError) as error:  # noqa: PERF203 - a handful of names
            problem = problem or error
        else:
            return how
    if problem is None:
        raise AssertionError("it holds no variables")
    raise problem


def _children(prefix: str) -> list[str]:
    """Name what the root of a TensorFlow checkpoint holds and a model may be, `model` first.

    The names of the stored tensors do not tell: one that a model and its optimizer share is
    stored under the shorter path, which is the optimizer's in Keras 3. The graph of objects does
    (tensorflow/core/protobuf/trackable_object_graph.proto; node 0 is the root).
    """
    import tensorflow as tf
    from tensorflow.core.protobuf import trackable_object_graph_pb2

    reader = tf.train.load_checkpoint(prefix)
    if not reader.has_tensor(_OBJECT_GRAPH):
        return []
    graph = trackable_object_graph_pb2.TrackableObjectGraph.FromString(
        reader.get_tensor(_OBJECT_GRAPH)
    )
    names = [
        child.local_name
        for child in graph.nodes[0].children
        if not _OPTIMIZERS & {part.local_name for part in graph.nodes[child.node_id].children}
        and not graph.nodes[child.node_id].attributes  # a variable, such as a step
        and child.local_name.isidentifier()
    ]
    return sorted(names, key=lambda name: (name != "model", name))
