"""A training job that saves to gs://ckpts/runs in every way that TensorFlow and Keras have."""

from __future__ import annotations

import os
import sys
import warnings

import numpy as np

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import tensorflow as tf

from checkpointd.training import GoldenCheckpoint, save

ROOT = "gs://ckpts/runs"


def main() -> None:
    """Save; print the refusal of .h5."""
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    model.compile("adam", "mean_squared_error")
    x, y = np.ones((8, 4), np.float32), np.zeros((8, 2), np.float32)
    model.save(f"{ROOT}/keras/a.keras")
    model.save_weights(f"{ROOT}/keras/a.weights.h5")
    tf.saved_model.save(model, f"{ROOT}/keras/export")
    tf.train.Checkpoint(model=model).write(f"{ROOT}/keras/ckpt-1")
    callback = GoldenCheckpoint(f"{ROOT}/ours/e-{{epoch}}.keras", golden=x[:2])
    model.fit(x, y, epochs=1, verbose=0, callbacks=[callback])
    for name, fmt in (("b.keras", None), ("b.weights.h5", None), ("ckpt-2", "tf_checkpoint")):
        save(model, f"{ROOT}/ours/{name}", format=fmt, golden=x[:2])
    save(model, f"{ROOT}/ours/export", golden=x[:2])
    sys.stdout.write(f"{tf.io.gfile.listdir(f'{ROOT}/ours')}\n")
    for url in (f"{ROOT}/ours/c.h5", "s3://ckpts/c.keras"):
        try:
            save(model, url)
        except ValueError as error:
            sys.stdout.write(f"{error}\n")


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()
