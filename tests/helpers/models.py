"""Tiny models for tests, made with Keras 3 or tf-keras, and what is stored in their checkpoints."""

from __future__ import annotations

import importlib
import io
import os
import zipfile
import zlib
from collections import Counter
from typing import Any

os.environ["HDF5_USE_FILE_LOCKING"] = "FALSE"
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"

import numpy as np

SEED = 20_260_101
BATCH = 4


def library(name: str) -> Any:
    """Import `keras` or `tf_keras`."""
    return importlib.import_module(name)


def batch(seed: int = SEED) -> np.ndarray:
    """A golden batch of shape (4, 3)."""
    return np.random.default_rng(seed).normal(size=(BATCH, 3)).astype("float32")


def sequential(keras: Any, *, trained: bool = True) -> Any:
    """A compiled Sequential model with batch normalisation and dropout, trained for one epoch."""
    keras.utils.set_random_seed(SEED)
    model = keras.Sequential(
        [
            keras.layers.Input((3,)),
            keras.layers.Dense(5, activation="relu"),
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(0.5),
            keras.layers.Dense(2),
        ]
    )
    model.compile(keras.optimizers.Adam(0.01), loss=keras.losses.MeanSquaredError())
    return fitted(model) if trained else model


def functional(keras: Any) -> Any:
    """A model with two named inputs and two named outputs, not compiled."""
    keras.utils.set_random_seed(SEED)
    left = keras.layers.Input((3,), name="left")
    right = keras.layers.Input((3,), name="right")
    both = keras.layers.Concatenate()([left, right])
    first = keras.layers.Dense(2, name="first")(both)
    second = keras.layers.Dense(1, name="second")(both)
    return keras.Model({"left": left, "right": right}, {"first": first, "second": second})


def subclassed(keras: Any) -> Any:
    """A subclassed model, called once, trained by nobody."""
    keras.utils.set_random_seed(SEED)

    class Net(keras.Model):
        """Two dense layers."""

        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.hidden = keras.layers.Dense(4, activation="relu")
            self.out = keras.layers.Dense(2)

        def call(self, inputs: Any) -> Any:
            """Run forward."""
            return self.out(self.hidden(inputs))

    model = Net()
    model(batch())
    return model


def fitted(model: Any) -> Any:
    """Train one batch, so that the optimizer has its variables."""
    inputs = batch()
    model.fit(inputs, inputs[:, :2], epochs=1, verbose=0)
    return model


def stored(path: str, format_name: str) -> Counter[tuple[str, tuple[int, ...], int]]:
    """Read every tensor that a checkpoint stores, as (dtype, shape, crc32)."""
    if format_name == "tf_checkpoint":
        return _bundle(path)
    if format_name == "savedmodel":
        return _bundle(os.path.join(path, "variables", "variables"))
    if format_name == "keras":
        with zipfile.ZipFile(path) as archive:
            return _hdf5(io.BytesIO(archive.read("model.weights.h5")))
    return _hdf5(path)


def _key(values: np.ndarray) -> tuple[str, tuple[int, ...], int]:
    return str(values.dtype), tuple(values.shape), zlib.crc32(np.ascontiguousarray(values).data)


def _bundle(prefix: str) -> Counter[tuple[str, tuple[int, ...], int]]:
    import tensorflow as tf

    reader = tf.train.load_checkpoint(prefix)
    tensors = (np.asarray(reader.get_tensor(n)) for n in reader.get_variable_to_shape_map())
    return Counter(_key(t) for t in tensors if t.dtype != object)


def _hdf5(file: Any) -> Counter[tuple[str, tuple[int, ...], int]]:
    import h5py

    found: Counter[tuple[str, tuple[int, ...], int]] = Counter()

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and item.dtype.kind in "biufcV":
            found[_key(np.asarray(item[()]))] += 1

    with h5py.File(file, "r") as opened:
        opened.visititems(visit)
    return found
