"""A training job that leaves a checkpoint for each reason that a report may hold.

Run as `python -m tests.helpers.reasons_job DIRECTORY`; what has to be spoiled byte by byte is
spoiled afterwards, by `tests.helpers.reasons_spoiled`.
"""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import keras
import numpy as np
import tensorflow as tf
import tf_keras

from checkpointd import golden
from checkpointd.core.format_specs import Format
from checkpointd.training import save
from tests.helpers import models


class Doubling(keras.layers.Layer):
    """A layer that no verifier knows."""

    def call(self, inputs: Any) -> Any:
        """Double."""
        return inputs * 2


class Served(tf.Module):
    """Its outputs differ from what its signature declares."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.one = tf.Variable(1.0)

    @tf.function(input_signature=[tf.TensorSpec([2, 3], tf.float32, name="x")])
    def serve(self, x: Any) -> Any:
        """Answer badly, each kind in its own way."""
        y = x * self.one
        if self.kind == "infinite":
            return {"y": y / (x * 0)}
        if self.kind == "failing":
            with tf.control_dependencies([tf.debugging.assert_greater(tf.reduce_sum(y), 1e30)]):
                return {"y": tf.identity(y)}
        y = tf.raw_ops.PlaceholderWithDefault(input=y, shape=None)
        y.set_shape([2, 7])
        return {"y": y}


def trained(loss: Any = None) -> Any:
    """A small model, with its optimizer two steps on its way."""
    keras.utils.set_random_seed(models.SEED)
    model = keras.Sequential(
        [keras.layers.Input((3,)), keras.layers.Dense(5), keras.layers.Dense(2)]
    )
    model.compile(keras.optimizers.Adam(0.01), loss or keras.losses.MeanSquaredError())
    return models.fitted(models.fitted(model))


def changed(model: Any, **values: float) -> Any:
    """The same model with one value of its first kernel, or its whole last bias, set."""
    weights = model.get_weights()
    if "kernel" in values:
        weights[0][0, 0] = values["kernel"]
    weights[0] *= values.get("times", 1)
    weights[-1][:] = values.get("bias", 0.0)
    model.set_weights(weights)
    return model


def recorded(path: Path, shift: float, **environment: str) -> None:
    """Save with a golden record of other outputs, perhaps of another environment."""
    save(trained(), path, golden=models.batch())
    where = golden.path_for(str(path), Format.KERAS)
    record = golden.read(where)
    record.outputs["output"][:] += np.float32(shift)
    golden.write(where, replace(record, environment={**record.environment, **environment}))


def ones(*shape: int) -> dict[str, Any]:
    """An output of ones."""
    return {"y": np.ones(shape, np.float32)}


def served(path: Path, gave: dict[str, Any]) -> None:
    """Record what a SavedModel's signature returned once, as its job does."""
    given = {"x": np.ones((2, 3), np.float32)}
    record = golden.Golden(
        inputs=given,
        outputs=gave,
        signatures={"serve": golden.SignatureRun(given, gave)},
        binding=golden.binding_of(str(path), Format.SAVEDMODEL),
        input_structure=golden.DICT,
        output_structure=golden.DICT,
    )
    where = Path(golden.path_for(str(path), Format.SAVEDMODEL))
    where.parent.mkdir(exist_ok=True)
    golden.write(str(where), record)


def one_shot(home: Path) -> None:
    """What `verify` is to judge without a daemon."""
    plain = home / "plain"
    model = trained()
    model.save(plain / "good.keras")
    for name in ("export", "export_other"):
        changed(model, bias=0.25 * len(name)).export(plain / name, verbose=False)
    model.save_weights(home / "weights.weights.h5")
    tf.train.Checkpoint(model=model).write(str(plain / "ckpt-1"))
    save(trained(), plain / "digest.h5", golden=models.batch())
    save(trained(), plain / "unbound.keras", golden=models.batch())
    changed(trained(), kernel=np.nan).save(plain / "nan.keras")
    changed(trained(), kernel=np.inf).save(plain / "inf.keras")
    model = trained()
    model.optimizer.variables[-1].assign(model.optimizer.variables[-1] * np.nan)
    model.save(plain / "nan_elsewhere.keras")
    recorded(plain / "mismatch.keras", 0.5)
    recorded(plain / "elsewhere.keras", 0.5, device="gpu")
    trained("mse").save(plain / "string_loss.h5")
    model = trained()
    model.save(plain / "first.h5")
    model.save(plain / "after_h5.keras")
    for name, layer in (
        ("unknown", Doubling()),
        ("lambda", keras.layers.Lambda(lambda x: x * 2)),
    ):
        keras.Sequential([keras.layers.Input((3,)), layer]).save(plain / f"{name}.keras")
    for kind, of, gave in (
        ("infinite", "infinite", ones(2, 3)),
        ("failing", "failing", ones(2, 3)),
        ("misshapen", "misshapen", ones(2, 7)),
        ("unrecorded", "infinite", {}),
        ("made_up", "infinite", None),
        ("not_run", "failing", None),
    ):
        module = Served(of)
        tf.saved_model.save(module, str(plain / kind), signatures={"serve": module.serve})
        if gave is not None:
            served(plain / kind, gave)
    words = keras.layers.StringLookup()
    words.adapt(tf.constant(["cat"]))
    entry = keras.layers.Input((1,), dtype="string")
    keras.Model(entry, words(entry)).save(plain / "no_table.h5")
    models.sequential(tf_keras, trained=False).save(home / "legacy" / "keras2.keras")


def warned_of(home: Path) -> None:
    """What reaches outside where nobody who loads and serves it is harmed."""
    plain = home / "plain"
    given = tf.Module()
    given.serve = tf.function(
        lambda path: {"y": tf.strings.length(tf.io.read_file(path))},
        input_signature=[tf.TensorSpec([], tf.string)],
    )
    tf.saved_model.save(given, str(plain / "given"), signatures=given.serve)
    beside = Served("beside")
    spec = tf.TensorSpec([2, 3], tf.float32)
    beside.other = tf.function(
        lambda x: tf.numpy_function(np.sort, [x], tf.float32), input_signature=[spec]
    )
    beside.double = tf.function(lambda x: {"y": x * 2}, input_signature=[spec])
    tf.saved_model.save(beside, str(plain / "beside"), signatures=beside.double)
    layers = [tf_keras.layers.Input((3,)), tf_keras.layers.Lambda(lambda x: x * 2)]
    tf_keras.Sequential(layers).save(plain / "metadata", save_format="tf")


def for_the_daemon(home: Path) -> None:
    """What a daemon compares with the last valid one of its series, in this order."""
    model = trained()
    for series, name, values in (
        ("drift", "first", {}),
        ("drift", "unchanged", {}),
        ("drift", "exploding", {"times": 400.0}),
        ("drift", "dead", {"times": 0.0}),
        ("best", "first", {"bias": 0.9}),
        ("best", "below", {"bias": 0.5}),
    ):
        weights = model.get_weights()
        changed(model, **values).save(home / "daemon" / f"{series}_{name}.keras")
        model.set_weights(weights)
    other = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(2)])
    other.save(home / "daemon" / "drift_shape.keras")
    save(trained(), home / "daemon" / "served_first", format="savedmodel")
    narrow = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(2)])
    save(narrow, home / "daemon" / "served_changed", format="savedmodel")


if __name__ == "__main__":
    directory = Path(sys.argv[1])
    for part in ("plain", "legacy", "daemon"):
        (directory / part).mkdir()
    one_shot(directory)
    warned_of(directory)
    for_the_daemon(directory)
