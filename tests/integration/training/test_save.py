"""`checkpointd.training.save` with the real writers: atomic, bound, and digests that hold."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from checkpointd import golden
from checkpointd.core.check_result import Outcome
from checkpointd.core.format_specs import Format
from checkpointd.training import atomic, save
from tests.helpers import models
from tests.helpers.load import verify

# TensorFlow's and Keras's warnings about each other are not this project's.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file:UserWarning"),
]

NAMES = {
    "keras": "model.keras",
    "hdf5": "model.h5",
    "hdf5_weights": "model.weights.h5",
    "savedmodel": "1",
    "tf_checkpoint": "ckpt-1",
}


@pytest.fixture(scope="module", params=["keras", "tf_keras"])
def keras(request: pytest.FixtureRequest) -> Any:
    """Each Keras in turn."""
    return models.library(request.param)


@pytest.mark.parametrize("form", list(NAMES))
def test_every_recorded_digest_is_found_in_what_was_stored(
    keras: Any, form: str, tmp_path: Path
) -> None:
    """Weights and optimizer variables, taken from memory, lie in the file bit for bit."""
    model = models.sequential(keras)
    path = save(model, tmp_path / NAMES[form], format=form, golden=models.batch())
    record = golden.read(golden.path_for(path, Format(form)))
    recorded = Counter((d.dtype, d.shape, d.crc32) for d in record.digests)
    assert recorded.total() >= len(model.weights)
    assert not recorded - models.stored(path, form)
    assert record.binding == golden.binding_of(path, Format(form)) != ""
    assert record.compiled
    expected = model.predict(models.batch(), batch_size=models.BATCH, verbose=0)
    assert np.array_equal(record.outputs["output"], expected)


@pytest.mark.parametrize("form", list(NAMES))
def test_saving_again_replaces_the_checkpoint_and_its_record(
    keras: Any, form: str, tmp_path: Path
) -> None:
    """A second save leaves one checkpoint, one record that belongs to it, and no droppings."""
    model = models.sequential(keras)
    path = save(model, tmp_path / NAMES[form], format=form, golden=models.batch(), step=1)
    before = set(os.listdir(tmp_path))
    first = golden.binding_of(path, Format(form))
    models.fitted(model)
    save(model, path, format=form, golden=models.batch(), step=2)
    assert set(os.listdir(tmp_path)) == before
    record = golden.read(golden.path_for(path, Format(form)))
    assert record.step == 2
    assert record.binding == golden.binding_of(path, Format(form)) != first


def test_a_record_goes_stale_when_keras_saves_over_it(keras: Any, tmp_path: Path) -> None:
    """A plain save over ours has no save id, so that the old record is seen not to belong to it."""
    model = models.sequential(keras)
    path = save(model, tmp_path / "model.keras", golden=models.batch())
    model.save(path)
    assert golden.binding_of(path, Format.KERAS) == ""


def test_tensorflow_finds_the_latest_checkpoint(keras: Any, tmp_path: Path) -> None:
    """The `checkpoint` file names the newest save alone, relative to itself."""
    import tensorflow as tf

    model = models.functional(keras)
    for step in (1, 2):
        save(model, tmp_path / f"ckpt-{step}", format="tf_checkpoint", step=step)
    moved = tmp_path.with_name(tmp_path.name + "-moved")
    tmp_path.rename(moved)
    assert tf.train.latest_checkpoint(str(moved)) == str(moved / "ckpt-2")
    state = tf.train.get_checkpoint_state(str(moved))
    assert [os.path.basename(p) for p in state.all_model_checkpoint_paths] == ["ckpt-2"]


def test_a_saved_model_never_replaces_a_directory_of_other_things(tmp_path: Path) -> None:
    """A directory that is no SavedModel is refused, and nothing in it is touched."""
    (tmp_path / "notes.txt").write_text("mine")
    model = models.functional(models.library("keras"))
    with pytest.raises(FileExistsError, match="something else than a model"):
        save(model, tmp_path)
    assert os.listdir(tmp_path) == ["notes.txt"]


@pytest.mark.parametrize("can_exchange", [True, False])
def test_the_users_own_files_in_a_saved_model_are_carried_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, can_exchange: bool
) -> None:
    """Warm-up requests and notes beside the graph survive a new save, exchanged or renamed."""
    if not can_exchange:
        monkeypatch.setattr(atomic, "_exchange", lambda *_paths: False)
    model = models.functional(models.library("keras"))
    path = save(model, tmp_path / "1")
    extra = tmp_path / "1" / "assets.extra"
    extra.mkdir(exist_ok=True)
    (extra / "tf_serving_warmup_requests").write_bytes(b"warm")
    (tmp_path / "1" / "README").write_text("mine")
    save(model, path)
    assert (extra / "tf_serving_warmup_requests").read_bytes() == b"warm"
    assert (tmp_path / "1" / "README").read_text() == "mine"
    assert os.listdir(tmp_path) == ["1"]


def test_keras_directory_form_is_saved_with_its_record(tmp_path: Path) -> None:
    """The record lies in it and is bound to its weights; notes of the user's are carried over."""
    keras = models.library("keras")
    model = models.sequential(keras)
    path = save(model, tmp_path / "m", zipped=False, golden=models.batch(), step=1)
    (tmp_path / "m" / "README.md").write_text("mine")
    first = golden.binding_of(path, Format.KERAS)
    models.fitted(model)
    save(model, path, zipped=False, golden=models.batch(), step=2)
    assert os.listdir(tmp_path) == ["m"]
    assert (tmp_path / "m" / "README.md").read_text() == "mine"
    record = golden.read(golden.path_for(path, Format.KERAS))
    assert (record.step, record.binding) == (2, golden.binding_of(path, Format.KERAS))
    assert record.binding != first
    checks, _ = verify(path)
    assert checks["predictions"].outcome is Outcome.PASS
    with pytest.raises(FileExistsError, match="something else than a model"):
        save(model, tmp_path, zipped=False)


def test_a_failing_save_leaves_the_old_checkpoint(tmp_path: Path) -> None:
    """When the writer raises half way, what was there before still is, bit for bit."""
    keras = models.library("keras")
    path = save(models.functional(keras), tmp_path / "model.keras")
    before = (tmp_path / "model.keras").read_bytes()
    model = models.functional(keras)
    model.save = lambda filepath: Path(filepath).write_bytes(b"half") / 0
    with pytest.raises(ZeroDivisionError):
        save(model, path)
    assert (tmp_path / "model.keras").read_bytes() == before
    assert sorted(os.listdir(tmp_path)) == ["model.keras", "model.keras.golden.npz"]


def test_a_failing_golden_batch_never_costs_the_checkpoint(keras: Any, tmp_path: Path) -> None:
    """Inputs that the model refuses are warned about, and the model is saved all the same."""
    model = models.sequential(keras)
    with pytest.warns(RuntimeWarning, match="could not be run on the golden inputs"):
        path = save(model, tmp_path / "model.keras", golden=np.zeros((4, 99), np.float32))
    assert keras.models.load_model(path) is not None
    assert os.listdir(tmp_path) == ["model.keras"]


def test_a_symbolic_link_is_saved_through(tmp_path: Path) -> None:
    """A link to a file stays a link, and what it names is replaced."""
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "model.keras").write_bytes(b"old")
    link = tmp_path / "model.keras"
    link.symlink_to("real/model.keras")
    path = save(models.functional(models.library("keras")), link)
    assert link.is_symlink()
    assert path == str(tmp_path / "real" / "model.keras")
    assert golden.binding_of(str(link), Format.KERAS)


def test_a_tf_module_is_saved_by_tensorflow(tmp_path: Path) -> None:
    """What is no Keras model becomes a SavedModel or a TensorFlow checkpoint, with a record."""
    import tensorflow as tf

    class Scale(tf.Module):
        """Multiplies by a weight."""

        def __init__(self) -> None:
            super().__init__()
            self.weight = tf.Variable(3.0)

        @tf.function(input_signature=[tf.TensorSpec([None], tf.float32)])
        def __call__(self, x: Any) -> Any:
            """Scale."""
            return x * self.weight

    for name, form in (("1", "savedmodel"), ("ckpt-1", "tf_checkpoint")):
        path = save(Scale(), tmp_path / name, format=form, golden=np.float32([2.0]))
        record = golden.read(golden.path_for(path, Format(form)))
        assert record.outputs["output"].tolist() == [6.0]
        assert not Counter((d.dtype, d.shape, d.crc32) for d in record.digests) - models.stored(
            path, form
        )
    with pytest.raises(ValueError, match="no Keras model"):
        save(Scale(), tmp_path / "model.keras")


def test_metrics_come_as_numbers_and_without_nan(tmp_path: Path) -> None:
    """Scalars of numpy and TensorFlow become floats; NaN, which JSON does not have, is left out."""
    path = save(
        models.functional(models.library("keras")),
        tmp_path / "model.keras",
        metrics={"loss": np.float32(0.5), "nan": float("nan"), "text": "x"},
    )
    assert golden.read(golden.path_for(path, Format.KERAS)).metrics == {"loss": 0.5}


def test_a_file_of_a_keras_that_writes_hdf5_under_the_new_name_stays_unchanged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before 2.13 `.keras` was HDF5: it is bound as such, with digests of what it stores."""
    keras = models.library("tf_keras")
    monkeypatch.setattr(keras, "__version__", "2.8.0")
    model = models.sequential(keras)
    path = save(model, tmp_path / "model.keras", golden=models.batch(), save_format="h5")
    record = golden.read(golden.path_for(path, Format.HDF5))
    assert record.binding == golden.binding_of(path, Format.HDF5) != ""
    recorded = Counter((d.dtype, d.shape, d.crc32) for d in record.digests)
    assert recorded.total() > len(model.weights)
    assert not recorded - models.stored(path, "hdf5")
