"""Weights as real writers store them: types, shards, roles, NaN."""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from checkpointd.verify.scan.farmhash import fingerprint64
from tests.helpers.models import sequential
from tests.helpers.scan import scanned, seeded

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [
    pytest.mark.slow,
    # Keras warns that HDF5 is legacy, which is why it is tested.
    pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning"),
]


def test_nan_in_the_weights_of_a_real_model_is_counted_by_name(tmp_path: Path) -> None:
    """Every format names the weight that is destroyed."""
    for library, ways in ((keras, ("m.keras", "m.weights.h5", "m.h5")), (tf_keras, ("m.h5",))):
        model = sequential(library)
        kernel = model.layers[0].kernel
        values = kernel.numpy()
        values[0, :2] = np.nan
        kernel.assign(values)
        for way in ways:
            target = tmp_path / f"{library.__name__}-{way}"
            model.save_weights(target) if "weights" in way else model.save(target)
            result = scanned(target)
            assert "finite.nan" in result.reasons, target
            assert "2 of 15 values are NaN" in result.checks["finite"].message
    tf.train.Checkpoint(model=model).write(str(tmp_path / "nan"))
    assert (
        scanned(tmp_path / "nan")
        .checks["finite"]
        .message.endswith("kernel: 2 of 15 values are NaN")
    )


def test_weights_that_keras_3_files_under_the_optimizer_are_the_models(tmp_path: Path) -> None:
    """`optimizer/_trainable_variables/0` is a weight: NaN in it is a failure, no warning."""
    model = sequential(keras)
    model.layers[0].kernel.assign(np.full((3, 5), np.nan))
    tf.train.Checkpoint(model=model, optimizer=model.optimizer).write(str(tmp_path / "ckpt"))
    assert "finite.nan" in scanned(tmp_path / "ckpt").reasons


def test_the_types_of_half_precision_are_read_in_every_format(tmp_path: Path) -> None:
    """float16 and bfloat16 weights are counted by their values."""
    for dtype in ("float16", "bfloat16"):
        model = keras.Sequential(
            [keras.layers.Input((3,)), keras.layers.Dense(5, dtype=dtype, name="d")]
        )
        model.save(tmp_path / f"{dtype}.keras")
        model.save_weights(tmp_path / f"{dtype}.weights.h5")
        tf.train.Checkpoint(model=model).write(str(tmp_path / dtype))
        norm = np.linalg.norm(model.layers[0].kernel.numpy().astype("float32"))
        for path in (f"{dtype}.keras", f"{dtype}.weights.h5", dtype):
            result = scanned(tmp_path / path)
            assert result.clean, result
            assert result.facts.weight_norm == pytest.approx(norm, rel=1e-3), path


def test_a_bundle_of_several_shards_and_of_strings_is_read(tmp_path: Path) -> None:
    """Strings are stored with a checksum of their own kind, also long and empty ones."""
    words = tf.Variable(tf.constant(["", "a", "x" * 300, "\u00e4" * 70000]))
    tf.raw_ops.SaveV2(
        prefix=str(tmp_path / "one"),
        tensor_names=["words", "flag", "empty"],
        shape_and_slices=["", "", ""],
        tensors=[words, tf.constant([True, False]), tf.zeros((0, 3))],
    )
    tf.raw_ops.SaveV2(
        prefix=str(tmp_path / "two"),
        tensor_names=["w"],
        shape_and_slices=[""],
        tensors=[tf.ones((1000, 30))],
    )
    tf.raw_ops.MergeV2Checkpoints(
        checkpoint_prefixes=[str(tmp_path / "one"), str(tmp_path / "two")],
        destination_prefix=str(tmp_path / "both"),
    )
    result = scanned(tmp_path / "both")
    assert result.clean, result
    assert result.facts.tensor_count == 4


def test_the_fingerprint_is_tensorflows_for_every_length() -> None:
    """Hashes of 0 to 200 bytes and of some longer texts agree with the original."""
    rng = seeded()
    for length in (*range(201), 1000, 4096, 4097):
        data = rng.randbytes(length)
        bucket = tf.strings.to_hash_bucket_fast(tf.constant(data), 1 << 62)
        assert int(bucket) == fingerprint64(data) % (1 << 62), length
