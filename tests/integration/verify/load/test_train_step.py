"""The training step of the check `resume`: on the golden batch, and without labels."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from checkpointd import golden
from checkpointd.core import memory_errors
from checkpointd.core.check_result import Outcome
from checkpointd.core.format_specs import Format
from checkpointd.training import GoldenCheckpoint, save
from checkpointd.verify.load import train_step
from checkpointd.verify.load.loaders import keras_signature
from tests.helpers import models
from tests.helpers.load import verify

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file:UserWarning"),
]


@pytest.fixture(params=["keras", "tf_keras"])
def keras(request: pytest.FixtureRequest) -> Any:
    """Each Keras in turn."""
    return models.library(request.param)


def classifier(keras: Any, **arguments: Any) -> Any:
    """Two named inputs and two named outputs with labels of different kinds, trained."""
    model = models.functional(keras)
    losses = {
        "first": keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        "second": keras.losses.MeanSquaredError(),
    }
    model.compile("adam", losses, **arguments)
    model.fit(*batch(), verbose=0)
    return model


def batch() -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Inputs and labels for it."""
    inputs = {"left": models.batch(1), "right": models.batch(2)}
    return inputs, {"first": np.array([0, 1, 1, 0]), "second": models.batch(3)[:, :1]}


def test_a_step_on_the_golden_batch_gives_the_jobs_own_loss(keras: Any, tmp_path: Path) -> None:
    """Integer and real labels by name: the loss is the one that the job would see."""
    model = classifier(keras)
    inputs, labels = batch()
    path = save(model, tmp_path / "m.keras", golden=(inputs, labels))
    results, _ = verify(path)
    assert results["resume"].outcome is Outcome.PASS, results["resume"].message
    expected = model.evaluate(inputs, labels, verbose=0)
    expected = expected[0] if isinstance(expected, list) else expected
    assert results["resume"].details["loss"] == pytest.approx(expected, rel=1e-4)
    assert "on the golden batch" in results["resume"].message


def test_sample_weights_are_used_as_keras_takes_them(keras: Any, tmp_path: Path) -> None:
    """The third part of the tuple weighs each sample."""
    model = models.sequential(keras)
    inputs = models.batch()
    labels, weights = inputs[:, :2], np.array([0.0, 0.0, 0.0, 0.0], "float32")
    path = save(model, tmp_path / "m.keras", golden=(inputs, labels, weights))
    results, _ = verify(path)
    assert results["resume"].outcome is Outcome.PASS, results["resume"].message
    assert results["resume"].details["loss"] == 0


def test_the_callback_records_labels_too(keras: Any, tmp_path: Path) -> None:
    """`GoldenCheckpoint(golden=(x, y))` leaves what a step needs."""
    model = models.sequential(keras, trained=False)
    inputs = models.batch()
    callback = GoldenCheckpoint(str(tmp_path / "m.keras"), golden=(inputs, inputs[:, :2]))
    model.fit(inputs, inputs[:, :2], verbose=0, callbacks=[callback])
    record = golden.read(golden.path_for(str(tmp_path / "m.keras"), Format.KERAS))
    assert record.labels["label"].shape == (models.BATCH, 2)
    assert record.optimizer["class_name"] == "Adam"
    results, _ = verify(str(tmp_path / "m.keras"))
    assert results["resume"].details["loss"] is not None, results["resume"].message


def test_a_loss_that_is_not_finite_is_reported(keras: Any, tmp_path: Path) -> None:
    """Labels that the job trains against, and a loss of infinity for them."""
    model = models.sequential(keras)
    inputs = models.batch()
    labels = np.full((models.BATCH, 2), 1e30, "float32")
    path = save(model, tmp_path / "m.keras", golden=(inputs, labels))
    results, _ = verify(path)
    assert results["resume"].reason == "resume.step_failed"
    assert "loss on the golden batch is inf" in results["resume"].message


def test_labels_that_the_loss_refuses_are_reported(keras: Any, tmp_path: Path) -> None:
    """A step with the job's own labels raises: the message is Keras's."""
    path = save(
        models.sequential(keras),
        tmp_path / "m.keras",
        golden=(models.batch(), np.zeros((models.BATCH, 7), "float32")),
    )
    results, _ = verify(path)
    assert results["resume"].reason == "resume.step_failed"
    assert "A training step fails with" in results["resume"].message


def test_spoiled_moments_show_in_the_weights(tmp_path: Path) -> None:
    """A second moment below zero gives NaN: no labels are needed to see that."""
    keras = models.library("keras")
    model = models.sequential(keras)
    velocity = next(v for v in model.optimizer.variables if "kernel_velocity" in v.path)
    velocity.assign(-np.ones(velocity.shape, "float32"))
    model.save(tmp_path / "m.keras")
    results, _ = verify(str(tmp_path / "m.keras"))
    assert results["predictions"].outcome is Outcome.SKIP
    assert results["inference"].outcome is Outcome.PASS
    assert results["resume"].reason == "resume.step_failed"
    assert "weights that are not finite" in results["resume"].message


def test_losses_that_would_refuse_made_up_labels_never_warn(keras: Any, tmp_path: Path) -> None:
    """Without labels the loss is left alone, whatever it wants, with golden inputs or none."""
    model = classifier(keras)
    model.save(tmp_path / "plain.keras")
    path = save(model, tmp_path / "recorded.keras", golden=batch()[0])
    for name in (str(tmp_path / "plain.keras"), path):
        results, _ = verify(name)
        assert results["resume"].outcome is Outcome.PASS, results["resume"].message
        assert "no labels were recorded" in results["resume"].message


def test_outputs_that_cannot_be_differentiated_are_no_fault(tmp_path: Path) -> None:
    """Classes as whole numbers leave nothing to step down on: a sentence, no warning."""
    keras = models.library("keras")
    inputs = keras.layers.Input((3,))
    scores = keras.layers.Dense(2)(inputs)
    model = keras.Model(inputs, keras.ops.argmax(scores, axis=-1))
    model.compile("adam", "mse")
    model.save(tmp_path / "m.keras")
    results, _ = verify(str(tmp_path / "m.keras"))
    assert results["inference"].outcome is Outcome.PASS
    assert results["resume"].outcome is Outcome.SKIP
    assert "comes back whole" in results["resume"].message
    assert "no training step was made" in results["resume"].message.lower()


def test_the_model_is_left_as_it_was_loaded(keras: Any) -> None:
    """What comes after the step judges the checkpoint's weights, statistics and seeds."""
    model = models.sequential(keras)
    before = [np.array(v.numpy()) for v in model.variables]
    step = train_step.make(keras_signature.wrap(model, keras, None), None)
    assert step.made, step
    after = [np.array(v.numpy()) for v in model.variables]
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))
    assert int(model.optimizer.iterations) == 2


def test_no_step_is_tried_without_the_memory_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A step that the worker's limit forbids would abort the process, and accuse the checkpoint."""
    monkeypatch.setenv(memory_errors.MEMORY, "1")
    keras = models.library("keras")
    model = models.sequential(keras)
    step = train_step.make(keras_signature.wrap(model, keras, None), None)
    assert not step.made
    assert not step.failed
    assert "raise [worker] memory" in step.note


def test_a_tuple_that_is_no_batch_is_refused_with_a_sentence(tmp_path: Path) -> None:
    """Four arrays in a tuple: the checkpoint is saved without, and the message names a list."""
    model = models.sequential(models.library("keras"))
    arrays = (models.batch(),) * 4
    with pytest.warns(RuntimeWarning, match="several inputs a list"):
        path = save(model, tmp_path / "m.keras", golden=arrays)
    assert os.path.exists(path)
    assert not os.path.exists(golden.path_for(path, Format.KERAS))
