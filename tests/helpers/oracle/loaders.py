"""The real loaders, one function each: they say how far an artifact comes, or raise."""

from __future__ import annotations

import glob
import os
from typing import TYPE_CHECKING, Any

from tests.helpers.oracle import feeds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

READS, LOADS, RUNS = "reads", "loads", "runs"
"""How far a loader comes: every value is read; a model comes back; all its signatures run."""


def loaders_for(path: str) -> Iterator[tuple[str, Callable[[str], str]]]:
    """Name the loaders that a person would try on what lies at a path."""
    if glob.glob(f"{glob.escape(path)}/saved_model.pb*"):
        yield "saved_model", saved_model
        yield "saved_model_v1", saved_model_v1
    elif os.path.exists(f"{path}.index"):
        yield "tf_train", tf_train
    elif os.path.isdir(path) and os.path.exists(f"{path}/config.json"):
        yield "keras", keras
    elif path.endswith((".keras", ".h5", ".hdf5")):
        yield "keras", keras
        yield "tf_keras", tf_keras
        if not path.endswith(".keras"):
            yield "h5py", h5py
    else:
        yield "tf_train", tf_train


def saved_model(path: str) -> str:
    """TensorFlow 2's loader."""
    import tensorflow as tf

    model = tf.saved_model.load(path)
    signatures = list(model.signatures.values())
    ran = [_runs_function(function) for function in signatures]
    return RUNS if ran and all(ran) else LOADS


def _runs_function(function: Any) -> bool:
    import tensorflow as tf

    declared = function.structured_input_signature[1]
    specs = {
        name: (spec.dtype.name, spec.shape.as_list() if spec.shape.rank is not None else None)
        for name, spec in declared.items()
    }
    return _any_runs(
        lambda feed: function(
            **{n: tf.cast(tf.constant(v), declared[n].dtype) for n, v in feed.items()}
        ),
        specs,
    )


def saved_model_v1(path: str) -> str:
    """The session loader of TensorFlow 1, which TensorFlow Serving uses, with each tag set."""
    import tensorflow as tf
    from tensorflow.python.saved_model import loader_impl

    reached = {
        _in_session(path, list(meta.meta_info_def.tags))
        for meta in loader_impl.parse_saved_model(path).meta_graphs
    }
    tf.compat.v1.reset_default_graph()
    return RUNS if RUNS in reached else LOADS


def _in_session(path: str, tags: list[str]) -> str:
    import tensorflow as tf

    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        meta = tf.compat.v1.saved_model.loader.load(session, tags, path)
        ran = []
        for name, signature in meta.signature_def.items():
            if name.startswith("__saved_model"):
                continue
            specs, names = {}, {}
            if not all(
                info.name for info in (*signature.inputs.values(), *signature.outputs.values())
            ):
                ran.append(False)  # a sparse tensor, which has no name of its own
                continue
            for key, info in signature.inputs.items():
                tensor = session.graph.get_tensor_by_name(info.name)
                shape = tensor.shape.as_list() if tensor.shape.rank is not None else None
                specs[key], names[key] = (tensor.dtype.base_dtype.name, shape), info.name
            outputs = [info.name for info in signature.outputs.values()]
            ran.append(
                _any_runs(
                    lambda feed, outputs=outputs, names=names: session.run(
                        outputs, {names[key]: value for key, value in feed.items()}
                    ),
                    specs,
                )
            )
    return RUNS if ran and all(ran) else LOADS


def keras(path: str) -> str:
    """The Keras that TensorFlow brings along."""
    import keras as library

    return _keras_model(library, path)


def tf_keras(path: str) -> str:
    """Keras 2."""
    import tf_keras as library

    return _keras_model(library, path)


def _keras_model(library: Any, path: str) -> str:
    model = library.models.load_model(path, compile=False)
    specs = {
        str(number): (str(getattr(tensor.dtype, "name", tensor.dtype)), list(tensor.shape))
        for number, tensor in enumerate(getattr(model, "inputs", None) or ())
    }
    if not specs:
        return LOADS

    def call(feed: dict[str, Any]) -> Any:
        given = list(feed.values())
        return model(given[0] if len(given) == 1 else given, training=False)

    return RUNS if _any_runs(call, specs) else LOADS


def h5py(path: str) -> str:
    """Every value of an HDF5 file."""
    import h5py as library

    with library.File(path, "r") as file:
        file.visititems(lambda _name, item: item[()] if hasattr(item, "dtype") else None)
    return READS


def tf_train(path: str) -> str:
    """Every tensor of a TensorFlow checkpoint."""
    import tensorflow as tf

    reader = tf.compat.v1.train.NewCheckpointReader(path)  # which takes an empty prefix, too
    for name in reader.get_variable_to_dtype_map():
        reader.get_tensor(name)
    return READS


def _any_runs(call: Callable[[dict[str, Any]], Any], specs: dict[str, Any]) -> bool:
    for feed in feeds.tries(specs):
        try:
            call(feed)
        except Exception:  # noqa: BLE001, S112 - the next try may do better
            continue
        return True
    return False
