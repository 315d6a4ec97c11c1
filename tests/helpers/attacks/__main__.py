"""Writes every attack: `python -m tests.helpers.attacks DIRECTORY PORT`."""

from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"

import keras
import numpy as np
import tensorflow as tf

from tests.helpers.attacks import (
    checkpoints,
    hdf5_files,
    keras_configs,
    saved_model_paths,
    saved_models,
    zips,
)
from tests.helpers.attacks.table import CANARY, Site, make_all

BUILDER = """
def model():
    import keras
    return keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(3, name="dense")])
"""
MODULES = (keras_configs, zips, hdf5_files, saved_models, saved_model_paths, checkpoints)


def main(home: Path, port: int) -> None:
    """Write the good model, the foreign files that attacks ask for, and the attacks."""
    warnings.simplefilter("ignore")
    for name in ("good", "markers", "attacks", "code"):
        (home / name).mkdir()
    (home / "canary").write_bytes(CANARY)
    (home / "code" / "attacked.py").write_text(BUILDER)
    keras.utils.set_random_seed(7)
    layers = [keras.layers.Input((4,)), keras.layers.Dense(3, name="dense")]
    model = keras.Sequential(layers, name="sequential")
    for name in ("good.keras", "good.h5"):
        model.save(home / "good" / name)
    model.save_weights(home / "good" / "good.weights.h5")
    secret = tf.Variable(np.frombuffer(CANARY[:12], "float32"))
    for name in ("secret", "part"):
        tf.train.Checkpoint(v=secret).write(str(home / "good" / name))
    make_all(Site(home, port))


main(Path(sys.argv[1]), int(sys.argv[2]))
