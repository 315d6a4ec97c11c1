"""Whether the optimizer of a whole model comes back, with the real writers of both Keras."""

from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING, Any

import h5py
import pytest

from checkpointd.core.check_result import Outcome
from checkpointd.training import save
from tests.helpers import models
from tests.helpers.load import verify

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

# TensorFlow's and Keras's warnings about each other are not this project's.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file:UserWarning"),
    pytest.mark.filterwarnings("ignore:Skipping variable loading for optimizer:UserWarning"),
]

KERAS_3: dict[str, Callable[[Any], Any]] = {
    "Adam": lambda o: o.Adam(0.01),
    "SGD": lambda o: o.SGD(0.01),
    "momentum": lambda o: o.SGD(0.01, momentum=0.9, nesterov=True),
    "schedule": lambda o: o.Adam(o.schedules.CosineDecay(0.01, 100)),
    "average": lambda o: o.AdamW(0.01, use_ema=True, weight_decay=1e-3, clipnorm=1.0),
    "loss scale": lambda o: o.LossScaleOptimizer(o.Adam(0.01)),
    "accumulated": lambda o: o.Adam(0.01, gradient_accumulation_steps=4),
    "factored": lambda o: o.Adafactor(0.01),
    "muon": lambda o: o.Muon(0.01),
    "by name": lambda _: "rmsprop",
}
KERAS_2: dict[str, Callable[[Any], Any]] = {
    "Adam": lambda o: o.Adam(0.01),
    "SGD": lambda o: o.SGD(0.01),
    "momentum": lambda o: o.SGD(0.01, momentum=0.9),
    "schedule": lambda o: o.Adam(o.schedules.CosineDecay(0.01, 100)),
    "average": lambda o: o.AdamW(0.01, use_ema=True),
    "by name": lambda _: "adam",
    "legacy Adam": lambda o: o.legacy.Adam(0.01, decay=1e-3),
    "legacy SGD": lambda o: o.legacy.SGD(0.01),
    "legacy momentum": lambda o: o.legacy.SGD(0.01, momentum=0.9),
}


def trained(keras: Any, optimizer: Any, *, loss: Any = None, epochs: int = 2) -> Any:
    """A small compiled model, with its optimizer a few steps on its way."""
    keras.utils.set_random_seed(models.SEED)
    layers = [keras.layers.Dense(5, activation="relu"), keras.layers.BatchNormalization()]
    model = keras.Sequential([keras.layers.Input((3,)), *layers, keras.layers.Dense(2)])
    model.compile(optimizer, loss or keras.losses.MeanSquaredError())
    inputs = models.batch()
    model.fit(inputs, inputs[:, :2], epochs=epochs, verbose=0)
    return model


@pytest.mark.parametrize("kind", KERAS_3)
def test_an_optimizer_of_keras_3_comes_back_whole(kind: str, tmp_path: Path) -> None:
    """Whatever the optimizer, a `.keras` of Keras 3 can be trained on, at its step."""
    keras = models.library("keras")
    model = trained(keras, KERAS_3[kind](keras.optimizers))
    model.save(tmp_path / "m.keras")
    results, facts = verify(str(tmp_path / "m.keras"))
    result = results["resume"]
    assert result.outcome is Outcome.PASS, result.message
    assert result.details["step_made"]
    assert facts.optimizer_step == int(model.optimizer.iterations)


@pytest.mark.parametrize("kind", ["float64", "float16"])
def test_a_model_in_another_type_of_numbers_can_be_trained_on(kind: str, tmp_path: Path) -> None:
    """Its learning rate is stored in that type too, and comes back as a float32."""
    keras = models.library("keras")
    keras.config.set_floatx(kind)
    try:
        trained(keras, keras.optimizers.SGD(0.001, momentum=0.9)).save(tmp_path / "m.keras")
    finally:
        keras.config.set_floatx("float32")
    results, _ = verify(str(tmp_path / "m.keras"))
    assert results["resume"].outcome is Outcome.PASS, results["resume"].message


@pytest.mark.parametrize("name", ["m.keras", "m.h5"])
@pytest.mark.parametrize("kind", KERAS_2)
def test_an_optimizer_of_keras_2_comes_back_whole(kind: str, name: str, tmp_path: Path) -> None:
    """The same through tf-keras, but for what it does not write: a legacy one's into `.keras`."""
    keras = models.library("tf_keras")
    trained(keras, KERAS_2[kind](keras.optimizers)).save(tmp_path / name)
    results, facts = verify(str(tmp_path / name))
    if kind.startswith("legacy") and name == "m.keras":
        assert int(keras.models.load_model(tmp_path / name).optimizer.iterations) == 0
        assert results["resume"].reason == "resume.optimizer_missing"
        return
    assert results["resume"].outcome is Outcome.PASS, results["resume"].message
    assert facts.optimizer_step == 2


@pytest.mark.parametrize("name", ["keras", "tf_keras"])
@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_can_be_trained_on(name: str, policy: str, tmp_path: Path) -> None:
    """A loss scale that Keras puts around the optimizer comes back with it."""
    keras = models.library(name)
    keras.mixed_precision.set_global_policy(policy)
    try:
        trained(keras, keras.optimizers.Adam(0.01)).save(tmp_path / "m.keras")
    finally:
        keras.mixed_precision.set_global_policy("float32")
    results, _ = verify(str(tmp_path / "m.keras"))
    assert results["resume"].outcome is Outcome.PASS, results["resume"].message


def test_a_file_saved_after_an_h5_comes_back_with_rmsprop(tmp_path: Path) -> None:
    """Keras 3.15.1: the first `.h5` takes the optimizer out of every later `.keras`."""
    keras = models.library("keras")
    model = trained(keras, keras.optimizers.Adam(0.01))
    model.save(tmp_path / "m.h5")
    model.save(tmp_path / "m.keras")
    assert type(keras.models.load_model(tmp_path / "m.keras").optimizer).__name__ == "RMSprop"
    results, _ = verify(str(tmp_path / "m.keras"))
    assert results["load"].outcome is Outcome.PASS
    assert results["resume"].reason == "resume.optimizer_changed"
    assert "Keras makes RMSprop in its place" in results["resume"].message
    assert "14 of 14 stored variables do not come back" in results["resume"].message


def test_moments_that_fit_rmsprop_do_not_hide_that_it_is_another(tmp_path: Path) -> None:
    """SGD's momentum has the shapes of RMSprop's velocity, of which it takes the square root."""
    keras = models.library("keras")
    model = trained(keras, keras.optimizers.SGD(0.01, momentum=0.9))
    model.save(tmp_path / "m.h5")
    model.save(tmp_path / "m.keras")
    results, _ = verify(str(tmp_path / "m.keras"))
    assert results["resume"].reason == "resume.step_failed"
    assert "weights that are not finite" in results["resume"].message
    assert "Keras makes RMSprop in its place" in results["resume"].message
    assert "do not come back" not in results["resume"].message


def test_our_own_save_gives_keras_its_configuration_back(tmp_path: Path) -> None:
    """After an `.h5` of ours the next `.keras` is whole, and ours is after anybody's `.h5`."""
    keras = models.library("keras")
    model = trained(keras, keras.optimizers.Adam(0.01))
    save(model, tmp_path / "ours.h5")
    model.save(tmp_path / "theirs.keras")
    model.save(tmp_path / "theirs.h5")
    save(model, tmp_path / "ours.keras")
    for name in ("theirs.keras", "ours.keras"):
        results, _ = verify(str(tmp_path / name))
        assert results["resume"].outcome is Outcome.PASS, results["resume"].message


def test_an_h5_with_a_string_loss_comes_back_without_its_optimizer(tmp_path: Path) -> None:
    """Keras 3.15.1: it loads only with `compile=False`, so training cannot go on as it was."""
    keras = models.library("keras")
    trained(keras, keras.optimizers.Adam(0.01), loss="mse").save(tmp_path / "m.h5")
    results, _ = verify(str(tmp_path / "m.h5"))
    assert results["load"].reason == "load.compile_failed"
    assert "save the model as .keras" in results["load"].message
    assert results["resume"].reason == "resume.optimizer_missing"
    assert "saved with Adam (14 variables)" in results["resume"].message


def test_an_optimizer_that_was_half_written_costs_the_model_nothing(tmp_path: Path) -> None:
    """Keras 3 up to 3.11 gives two variables of Ftrl one name in HDF5, and raises half way."""
    keras = models.library("keras")
    trained(keras, keras.optimizers.Adam(0.01)).save(tmp_path / "m.h5")
    with h5py.File(tmp_path / "m.h5", "r+") as file:
        names = file["optimizer_weights"].attrs["weight_names"]
        del file["optimizer_weights"][names[-1]]
    results, _ = verify(str(tmp_path / "m.h5"))
    assert results["load"].reason == "load.compile_failed", results["load"].message
    assert "stopped by an error before all of the optimizer was written" in results["load"].message
    assert results["inference"].outcome is Outcome.PASS


def test_the_optimizer_of_an_h5_refuses_its_first_step(tmp_path: Path) -> None:
    """Keras 3.15.1: it loads, it predicts, and Adam does not know the weights."""
    keras = models.library("keras")
    trained(keras, keras.optimizers.Adam(0.01)).save(tmp_path / "m.h5")
    results, _ = verify(str(tmp_path / "m.h5"))
    assert results["load"].outcome is Outcome.PASS
    assert results["resume"].reason == "resume.step_failed"
    assert "(Unknown variable)" in results["resume"].message
    assert "save the model as .keras to go on training" in results["resume"].message
    assert "12 of 14 stored variables do not come back" in results["resume"].message


def test_layers_frozen_before_compiling_have_no_slots_and_nothing_is_missed(tmp_path: Path) -> None:
    """Transfer learning: the frozen layers' slots were never there."""
    keras = models.library("keras")
    model = trained(keras, "adam")
    model.layers[0].trainable = False
    model.compile(keras.optimizers.Adam(0.01), keras.losses.MeanSquaredError())
    models.fitted(model).save(tmp_path / "m.keras")
    results, _ = verify(str(tmp_path / "m.keras"))
    assert results["resume"].outcome is Outcome.PASS, results["resume"].message


def test_layers_frozen_after_training_cost_every_moment(tmp_path: Path) -> None:
    """Keras counts other variables than were saved, and then restores none: that is explained."""
    keras = models.library("keras")
    model = trained(keras, keras.optimizers.Adam(0.01))
    model.layers[0].trainable = False
    model.save(tmp_path / "m.keras")
    results, _ = verify(str(tmp_path / "m.keras"))
    assert results["resume"].reason == "resume.optimizer_changed"
    assert "if trainable was changed after compile()" in results["resume"].message


def test_an_optimizer_whose_variables_are_gone_is_not_blamed_on_tf_keras(tmp_path: Path) -> None:
    """A `.keras` of Keras 3 without the optimizer's group in its weights."""
    keras = models.library("keras")
    trained(keras, keras.optimizers.Adam(0.01)).save(tmp_path / "whole.keras")
    path = tmp_path / "m.keras"
    with zipfile.ZipFile(tmp_path / "whole.keras") as whole, zipfile.ZipFile(path, "w") as cut:
        for name in whole.namelist():
            data = io.BytesIO(whole.read(name))
            if name == "model.weights.h5":
                with h5py.File(data, "r+") as file:
                    del file["optimizer"]
            cut.writestr(name, data.getvalue())
    results, _ = verify(str(path))
    assert results["resume"].reason == "resume.optimizer_missing"
    assert (
        "its variables are not in the file, and Keras makes new ones" in results["resume"].message
    )


@pytest.mark.parametrize("name", ["m.keras", "m.h5"])
def test_what_was_never_compiled_is_skipped(name: str, tmp_path: Path) -> None:
    """Nobody meant to go on training from it: a sentence, and no warning."""
    models.functional(models.library("keras")).save(tmp_path / name)
    results, facts = verify(str(tmp_path / name))
    assert results["resume"].outcome is Outcome.SKIP
    assert "saved without an optimizer" in results["resume"].message
    assert facts.optimizer_step is None


def test_what_was_compiled_and_never_trained_can_be_trained_on(tmp_path: Path) -> None:
    """The optimizer has no slots yet, so none are missing."""
    keras = models.library("keras")
    models.sequential(keras, trained=False).save(tmp_path / "m.keras")
    results, facts = verify(str(tmp_path / "m.keras"))
    assert results["resume"].outcome is Outcome.PASS, results["resume"].message
    assert facts.optimizer_step == 0


@pytest.mark.parametrize("write", ["export", "tf.saved_model.save", "keras 2"])
def test_a_saved_model_is_never_warned_of(write: str, tmp_path: Path) -> None:
    """What is made for serving is skipped; where it holds an optimizer, the message explains why.

    tf-keras 2.21 warns of it too: "Slots cannot be restored from saved_model".
    """
    import tensorflow as tf

    path = str(tmp_path / "1")
    if write == "keras 2":
        keras = models.library("tf_keras")
        trained(keras, keras.optimizers.Adam(0.01)).save(path)
        assert int(keras.models.load_model(path).optimizer.iterations) == 0
    else:
        model = models.sequential(models.library("keras"))
        model.export(path, verbose=False) if write == "export" else tf.saved_model.save(model, path)
    results, _ = verify(path)
    assert results["resume"].outcome is Outcome.SKIP
    expected = "saved without" if write == "export" else "from a SavedModel"
    assert expected in results["resume"].message
