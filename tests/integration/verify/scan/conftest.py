"""What real writers write, saved once for each process."""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path
from typing import Any

import keras
import pytest
import tensorflow as tf
import tf_keras

from tests.helpers.models import sequential


@pytest.fixture(scope="session")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What Keras 3, Keras 2 and TensorFlow 1's API write for one small trained model each."""
    root = tmp_path_factory.mktemp("saved")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, library in (("keras3", keras), ("keras2", tf_keras)):
            home = root / name
            home.mkdir()
            save(sequential(library), home, library)
            sequential(library).save(home / "m.h5")
        save_tf1(root / "tf1")
    return root


def save(model: Any, home: Path, library: Any) -> None:
    """Save a model in every way but `.h5`, which spoils later saves of the same object."""
    model.save(home / "m.keras")
    model.save_weights(home / "m.weights.h5")
    tf.train.Checkpoint(model=model, optimizer=model.optimizer).save(str(home / "ckpt/ckpt"))
    if library is keras:
        model.save(home / "unzipped", zipped=False)
        model.export(home / "export", verbose=False)
        tf.saved_model.save(model, str(home / "tf_save"))
    else:
        model.save(home / "saved")
        model.save_weights(home / "w")
        model.save_weights(home / "legacy_weights.h5")


def save_tf1(home: Path) -> None:
    """Save a graph with an Adam optimizer as programs of TensorFlow 1 do."""
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, [None, 3], name="x")
        w = v1.get_variable("w", [3, 2], use_resource=True)
        loss = tf.reduce_mean(tf.square(x @ w))
        v1.train.AdamOptimizer().minimize(loss)
        session.run(v1.global_variables_initializer())
        v1.train.Saver().save(session, str(home / "model.ckpt"), global_step=1)
        builder = v1.saved_model.Builder(str(home / "saved"))
        builder.add_meta_graph_and_variables(session, ["serve"])
        builder.save()


@pytest.fixture
def copy(saved: Path, tmp_path: Path) -> Path:
    """A copy that may be spoiled."""
    return Path(shutil.copytree(saved, tmp_path / "copy"))
