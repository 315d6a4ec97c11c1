"""A training job of Keras 2, run by the other interpreter: saves in every way that Keras 2 has.

Run as `python keras2_job.py DIRECTORY` where checkpointd is installed without its dependencies.
"""

from __future__ import annotations

import json
import os
import sys
import warnings

os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
warnings.filterwarnings("ignore", message="You are saving your model as an HDF5 file")


def build():  # noqa: ANN201 - the builder that a config names
    """The model of the job, untrained."""
    from tensorflow import keras

    layers = keras.layers
    return keras.Sequential(
        [
            layers.Input((3,)),
            layers.Dense(5, activation="relu"),
            layers.BatchNormalization(),
            layers.Dropout(0.5),
            layers.Dense(2),
        ]
    )


def main(home: str) -> None:
    """Train, save in every format, and print the versions."""
    import numpy as np
    import tensorflow as tf

    from checkpointd.training import GoldenCheckpoint, save

    tf.keras.utils.set_random_seed(7)
    x = np.random.default_rng(7).normal(size=(16, 3)).astype("float32")
    model = build()
    model.compile("adam", "mse")
    callbacks = [
        GoldenCheckpoint(os.path.join(home, name), x[:4], **more)
        for name, more in (
            ("called_epoch_{epoch:02d}.h5", {}),
            ("called_epoch_{epoch:02d}.keras", {}),
            ("called/{epoch}", {}),
            ("called_epoch_{epoch:02d}.weights.h5", {"save_weights_only": True}),
        )
    ]
    assert all(isinstance(c, tf.keras.callbacks.ModelCheckpoint) for c in callbacks)
    model.fit(x, x[:, :2], epochs=1, verbose=0, callbacks=callbacks)
    for format_name, name in (
        ("savedmodel", "golden_dir"),
        ("hdf5", "golden.h5"),
        ("keras", "golden.keras"),
        ("hdf5_weights", "golden.weights.h5"),
        ("tf_checkpoint", "golden-1"),
    ):
        save(model, os.path.join(home, name), format=format_name, golden=x[:4], step=3)
    for name in ("plain_dir", "plain.h5", "plain.keras"):
        model.save(os.path.join(home, name))
    model.save_weights(os.path.join(home, "plain-weights"))
    tf.train.Checkpoint(model=model, optimizer=model.optimizer).write(
        os.path.join(home, "plain-train")
    )
    import keras

    strangers = {"pydantic", "google_crc32c", "watchdog", "aiohttp", "typer"}
    result = {
        "python": sys.version.split()[0],
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "ours": sorted(name for name in sys.modules if name.startswith("checkpointd.")),
        "strangers": sorted(strangers & set(sys.modules)),
    }
    sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
