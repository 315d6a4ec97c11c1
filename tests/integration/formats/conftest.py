"""Files that TensorFlow, Keras 3 and tf_keras wrote themselves, once for each process."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import pytest

from tests.helpers import models

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory in which every writer has saved a model once."""
    import keras
    import tensorflow as tf
    import tf_keras

    root = tmp_path_factory.mktemp("written")
    three, two = models.sequential(keras), models.sequential(tf_keras)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        three.export(str(root / "k3_export"), verbose=False)
        tf.saved_model.save(three, str(root / "k3_saved"))
        two.save(str(root / "k2_save"))
        tf.saved_model.save(two, str(root / "k2_saved"))
        for name, model in (("k3", three), ("k2", two)):
            model.save(str(root / f"{name}.keras"))
            model.save(str(root / f"{name}.h5"))
            model.save_weights(str(root / f"{name}.weights.h5"))
        two.save_weights(str(root / "k2_weights"))
        _tf1(tf, root)
    tf.saved_model.save(tf.Module(), str(root / "empty_module"))
    checkpoint = tf.train.Checkpoint(model=three, step=tf.Variable(7))
    tf.train.CheckpointManager(checkpoint, str(root / "manager"), 3).save()
    assert len(list(tf.data.Dataset.range(10).cache(str(root / "cache")))) == 10
    (root / "sharded").mkdir()
    large = keras.Sequential([keras.layers.Input((9,)), *(keras.layers.Dense(90) for _ in "abc")])
    large.save_weights(str(root / "sharded" / "m.weights.json"), max_shard_size=0.00004)
    return root


def _tf1(tf: Any, root: Path) -> None:
    """Save with TF 1's builder, with variables and without, and with its Saver."""
    v1 = tf.compat.v1
    for name in ("tf1", "tf1_bare"):
        with v1.Graph().as_default(), v1.Session() as session:
            x = v1.placeholder(tf.float32, [None, 3], "x")
            y = x @ v1.get_variable("w", [3, 1]) if name == "tf1" else x * 2.0
            session.run(v1.global_variables_initializer())
            v1.saved_model.simple_save(session, str(root / name), {"x": x}, {"y": y})
            if name == "tf1":
                v1.train.Saver().save(session, str(root / "saver"), global_step=3)
