"""`GoldenCheckpoint` in real training: every argument means what Keras says it means."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from checkpointd import golden
from checkpointd.core.format_specs import Format
from checkpointd.training import GoldenCheckpoint
from tests.helpers import models

if TYPE_CHECKING:
    from pathlib import Path

# TensorFlow's and Keras's warnings about each other are not this project's.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file:UserWarning"),
]


@pytest.fixture(params=["keras", "tf_keras"])
def keras(request: pytest.FixtureRequest) -> Any:
    """Each Keras in turn."""
    return models.library(request.param)


def train(keras: Any, path: Path, epochs: int = 2, **arguments: Any) -> Any:
    """Train a small model with the callback; returns the callback."""
    model = models.sequential(keras, trained=False)
    inputs = models.batch()
    callback = GoldenCheckpoint(path, models.batch(), **arguments)
    model.fit(
        inputs,
        inputs[:, :2],
        validation_data=(inputs, inputs[:, :2]),
        batch_size=2,
        epochs=epochs,
        verbose=0,
        callbacks=[callback],
    )
    return callback


def names(directory: Path) -> list[str]:
    """What lies in a directory, without golden records."""
    return sorted(n for n in os.listdir(directory) if not n.endswith(".golden.npz"))


def test_it_is_a_model_checkpoint() -> None:
    """Code that looks for Keras's own callback finds it."""
    import keras

    assert issubclass(GoldenCheckpoint, keras.callbacks.ModelCheckpoint)


@pytest.mark.parametrize("ending", ["keras", "h5", "weights.h5"])
def test_templates_are_filled_in(keras: Any, tmp_path: Path, ending: str) -> None:
    """Epoch and metrics go into the name, and into the record."""
    weights = ending == "weights.h5"
    train(keras, tmp_path / ("{epoch:02d}-{val_loss:.2f}." + ending), save_weights_only=weights)
    saved = names(tmp_path)
    assert [name[:3] for name in saved] == ["01-", "02-"]
    form = {"keras": Format.KERAS, "h5": Format.HDF5, "weights.h5": Format.HDF5_WEIGHTS}[ending]
    record = golden.read(golden.path_for(str(tmp_path / saved[1]), form))
    assert record.step == 2
    assert f"-{record.metrics['val_loss']:.2f}." in saved[1]
    assert record.binding == golden.binding_of(str(tmp_path / saved[1]), form)


def test_a_directory_becomes_a_saved_model(keras: Any, tmp_path: Path) -> None:
    """A path without extension is a SavedModel, one for each epoch."""
    train(keras, tmp_path / "{epoch}")
    assert names(tmp_path) == ["1", "2"]
    assert (tmp_path / "2" / "saved_model.pb").exists()
    assert golden.read(str(tmp_path / "2" / "assets.extra" / "golden.npz")).step == 2


def test_a_prefix_for_weights_becomes_a_tensorflow_checkpoint(keras: Any, tmp_path: Path) -> None:
    """As in tf-keras, weights without extension are a TensorFlow checkpoint."""
    train(keras, tmp_path / "ckpt-{epoch}", save_weights_only=True)
    assert "checkpoint" in names(tmp_path)
    assert {"ckpt-1.index", "ckpt-2.index"} <= set(names(tmp_path))


def test_only_the_best_is_saved(keras: Any, tmp_path: Path) -> None:
    """With a threshold that no epoch beats, nothing is saved; with one that all beat, one is."""
    train(
        keras,
        tmp_path / "never.keras",
        save_best_only=True,
        monitor="val_loss",
        mode="min",
        initial_value_threshold=-1.0,
    )
    assert names(tmp_path) == []
    train(
        keras,
        tmp_path / "best.keras",
        save_best_only=True,
        monitor="val_loss",
        mode="min",
        initial_value_threshold=1e9,
    )
    assert names(tmp_path) == ["best.keras"]


def test_saving_by_batches_counts_steps(keras: Any, tmp_path: Path) -> None:
    """`save_freq` in batches saves within an epoch, and the record counts the optimizer's steps."""
    train(keras, tmp_path / "e{epoch}.keras", epochs=1, save_freq=1)
    record = golden.read(golden.path_for(str(tmp_path / "e1.keras"), Format.KERAS))
    assert record.step == 2


def test_training_goes_on_as_without_it(keras: Any, tmp_path: Path) -> None:
    """Recording predictions in the middle of training changes no weight."""
    with_it = train(keras, tmp_path / "{epoch}.keras").model.get_weights()
    model = models.sequential(keras, trained=False)
    inputs = models.batch()
    model.fit(
        inputs,
        inputs[:, :2],
        validation_data=(inputs, inputs[:, :2]),
        batch_size=2,
        epochs=2,
        verbose=0,
    )
    assert all((a == b).all() for a, b in zip(with_it, model.get_weights(), strict=True))
