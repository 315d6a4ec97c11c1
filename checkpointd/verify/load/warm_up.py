"""Runs the load side once on a small model of its own, so that the next checkpoint loads fast.

What TensorFlow and Keras do only once in a process (its context, the first run of each op, the
first tracing of a function) is more than half of what a small checkpoint takes. It is done here in
a child that waits for a checkpoint, never in a zygote. Python 3.9.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import random
import sys
from typing import TYPE_CHECKING, Any

from checkpointd.core.checkpoint import Checkpoint
from checkpointd.core.format_specs import Format
from checkpointd.core.report import Facts
from checkpointd.core.request import Request
from checkpointd.core.verify_settings import VerifySettings
from checkpointd.formats import generation_of
from checkpointd.verify.load import optimizers, runtime
from checkpointd.verify.load.load_stage import load_suite

if TYPE_CHECKING:
    from collections.abc import Iterator

    from checkpointd.core.report import Digest

_SIZE = 8


def warm_up(directory: str) -> None:
    """Save, load, run and train a small model, and leave the process as a new one would be.

    Args:
        directory: an empty one, which is empty again afterwards.
    """
    keras = runtime.default_keras()
    with _generators_unchanged():
        model = _model(keras)
        files = {"warm_up.keras": Format.KERAS, "warm_up.h5": Format.HDF5}
        if runtime.generation(keras) == runtime.LEGACY:
            del files["warm_up.keras"]
        for name, fmt in files.items():
            path = os.path.join(directory, name)
            model.save(path)
            _verify(path, fmt, optimizers.from_memory(model.optimizer).tensors)
            os.unlink(path)
        if "tensorflow" in sys.modules:
            _run_saved_model(os.path.join(directory, "warm_up"))
        del model
    for name in runtime.installed():
        if name in sys.modules:
            runtime.restart_names(importlib.import_module(name))
    gc.collect()
    gc.freeze()


def _model(keras: Any) -> Any:
    import numpy as np

    layers = keras.layers
    model = keras.Sequential(
        [
            layers.Input((_SIZE,)),
            layers.Dense(_SIZE, activation="relu"),
            layers.Dense(1, use_bias=False),
        ]
    )
    model.compile(optimizer="adam", loss=keras.losses.MeanSquaredError())
    model.predict_on_batch(np.ones((2, _SIZE), "float32"))
    return model


def _verify(path: str, fmt: Format, optimizer: tuple[Digest, ...] = ()) -> None:
    """Run every check; with the variables of its optimizer also the training step."""
    request = Request(Checkpoint(path, fmt), generation_of(path, fmt), VerifySettings())
    load_suite(request, Facts(format=fmt, optimizer_tensors=optimizer), lambda _result: None)


def _run_saved_model(directory: str) -> None:
    """Save, load and run the smallest SavedModel."""
    import tensorflow as tf

    from checkpointd.core.remove_tree import remove_tree

    module = tf.Module()
    module.weight = tf.Variable(tf.zeros((_SIZE, 1)))
    spec = tf.TensorSpec((None, _SIZE), tf.float32, name="x")
    run = tf.function(lambda x: {"y": tf.matmul(x, module.weight)}, input_signature=[spec])
    tf.saved_model.save(module, directory, signatures=run)
    _verify(directory, Format.SAVEDMODEL)
    remove_tree(directory)


@contextlib.contextmanager
def _generators_unchanged() -> Iterator[None]:
    """A block after which Python's and numpy's random generators are as they were before."""
    import numpy as np

    ours, theirs = random.getstate(), np.random.get_state()  # noqa: NPY002 - the global one
    try:
        yield
    finally:
        random.setstate(ours)
        np.random.set_state(theirs)  # noqa: NPY002 - the same
