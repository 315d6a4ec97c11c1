"""The layout of Keras 1's HDF5 files, whose writer no longer installs: made with h5py.

Source: keras/engine/topology.py and models.py of Keras 1.2.2.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from tests.helpers.wild import zoo
from tests.helpers.wild.keras_cases import built_by
from tests.helpers.wild.table import INTACT, RUNS, Case

if TYPE_CHECKING:
    from pathlib import Path

LAYERS = [
    {
        "class_name": "Dense",
        "config": {
            "name": "dense_1",
            "batch_input_shape": [None, 3],
            "output_dim": 2,
            "bias": True,
            "init": "glorot_uniform",
            "activation": "linear",
            "input_dtype": "float32",
            "input_dim": 3,
            "trainable": True,
            "W_regularizer": None,
            "b_constraint": None,
        },
    }
]


def _write(group: Any) -> None:
    group.attrs["layer_names"] = [b"dense_1"]
    layer = group.create_group("dense_1")
    layer.attrs["weight_names"] = [b"dense_1_W", b"dense_1_b"]
    layer["dense_1_W"] = np.ones((3, 2), "float32")
    layer["dense_1_b"] = np.zeros(2, "float32")


def weights(path: Path) -> None:
    """Weights alone: no version, no configuration."""
    import h5py

    with h5py.File(path, "w") as file:
        _write(file)


def whole(path: Path) -> None:
    """A whole model, with its optimizer."""
    import h5py

    with h5py.File(path, "w") as file:
        file.attrs["keras_version"] = b"1.2.2"
        config = {"class_name": "Sequential", "config": LAYERS}
        file.attrs["model_config"] = json.dumps(config).encode()
        training = {"loss": "mse", "optimizer_config": {"class_name": "SGD", "config": {"lr": 0.1}}}
        file.attrs["training_config"] = json.dumps(training).encode()
        _write(file.create_group("model_weights"))
        state = file.create_group("optimizer_weights")
        state.attrs["weight_names"] = [b"iterations"]
        state["iterations"] = np.float32(7)


CASES = (
    Case("Keras 1 weights", weights, ".h5", INTACT),
    Case(
        "Keras 1 weights with a builder", weights, ".h5", RUNS, built_by("tf_keras", zoo.KINDS[0])
    ),
)
