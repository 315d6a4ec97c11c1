"""Optimizers, train steps and compile methods of the user's, and whether training can go on."""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from checkpointd.core.check_result import Outcome
from checkpointd.training import save
from tests.helpers import models
from tests.helpers.load import verify
from tests.integration.verify.load.test_resume import trained

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

# TensorFlow's and Keras's warnings about each other are not this project's.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file:UserWarning"),
    pytest.mark.filterwarnings("ignore:Skipping variable loading for optimizer:UserWarning"),
]


_CUSTOM = """
import {library} as keras
import tensorflow as tf


class Slow(keras.optimizers.Adam):
    def __init__(self, patience=3, **kwargs):
        super().__init__(**kwargs)
        self.patience = patience

    def get_config(self):
        return {{**super().get_config(), "patience": self.patience}}


class Forgetful(Slow):
    @classmethod
    def from_config(cls, config):
        return cls(**{{**config, "patience": 1}})


class OwnStep(keras.Model):
    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(self(x, training=True) - y))
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables))
        return {{"loss": loss}}


class OwnCompile(keras.Model):
    def compile(self, first, second):
        super().compile(loss=None)
        self.first_optimizer, self.second_optimizer = first, second
        for optimizer in (first, second):
            optimizer.build(self.trainable_variables)


class TwoOptimizers(OwnCompile):
    def get_compile_config(self):
        pair = (self.first_optimizer, self.second_optimizer)
        return {{"pair": [keras.optimizers.serialize(o) for o in pair]}}

    def compile_from_config(self, config):
        self.compile(*(keras.optimizers.deserialize(o) for o in config["pair"]))
"""


@pytest.fixture
def custom(tmp_path: Path) -> Iterator[Callable[[str], tuple[Any, dict[str, Any]]]]:
    """Makes a module of custom optimizers and models, and the settings that name them."""
    sys.path.insert(0, str(tmp_path))
    written = []

    def write(library: str = "keras") -> tuple[Any, dict[str, Any]]:
        name = f"custom_for_resume_{library}"
        (tmp_path / f"{name}.py").write_text(_CUSTOM.format(library=library))
        written.append(name)
        module = importlib.import_module(name)
        classes = ("Slow", "Forgetful", "OwnStep", "OwnCompile", "TwoOptimizers")
        settings = {"custom_objects": {c: f"{name}:{c}" for c in classes}}
        return module, {**settings, "python_path": (str(tmp_path),)}

    yield write
    sys.path.remove(str(tmp_path))
    for name in written:
        sys.modules.pop(name, None)


@pytest.mark.parametrize("library", ["keras", "tf_keras"])
def test_an_optimizer_of_the_user_comes_back(custom: Any, library: str, tmp_path: Path) -> None:
    """It is found through custom_objects, with its hyperparameters."""
    module, settings = custom(library)
    model = trained(models.library(library), module.Slow(learning_rate=0.01, patience=7))
    model.save(tmp_path / "m.keras")
    results, _ = verify(str(tmp_path / "m.keras"), **settings)
    assert results["resume"].outcome is Outcome.PASS, results["resume"].message
    assert results["resume"].details["optimizer"] == "Slow"


def test_a_hyperparameter_that_comes_back_changed_is_reported(custom: Any, tmp_path: Path) -> None:
    """A `from_config` that drops something changes the optimizer, and Keras does not warn."""
    module, settings = custom()
    optimizer = module.Forgetful(learning_rate=0.01, patience=7)
    trained(models.library("keras"), optimizer).save(tmp_path / "m.keras")
    results, _ = verify(str(tmp_path / "m.keras"), **settings)
    assert results["resume"].reason == "resume.optimizer_changed"
    assert "Its patience was 7 and is 1." in results["resume"].message


def in_and_out(keras: Any, kind: Any) -> Any:
    """A functional model of a class of the user's own."""
    inputs = keras.layers.Input((3,))
    return kind(inputs, keras.layers.Dense(2)(inputs))


@pytest.mark.parametrize("labels", [True, False])
def test_a_train_step_of_the_user_is_made(custom: Any, labels: bool, tmp_path: Path) -> None:
    """It is given its batch as `fit` gives it; without labels it cannot be, which is no fault."""
    module, settings = custom()
    model = in_and_out(models.library("keras"), module.OwnStep)
    model.compile("adam")
    inputs = models.batch()
    model.fit(inputs, inputs[:, :2], verbose=0)
    golden = (inputs, inputs[:, :2]) if labels else inputs
    save(model, tmp_path / "m.keras", golden=golden)
    results, _ = verify(str(tmp_path / "m.keras"), **settings)
    assert results["resume"].outcome is Outcome.PASS, results["resume"].message
    assert (results["resume"].details["loss"] is not None) is labels


def test_a_compile_method_of_the_user_is_no_fault(custom: Any, tmp_path: Path) -> None:
    """Keras does not call it, so no optimizer comes back; its state lies in the file."""
    module, settings = custom()
    keras = models.library("keras")
    model = in_and_out(keras, module.OwnCompile)
    model.compile(keras.optimizers.Adam(), keras.optimizers.SGD(0.1, momentum=0.9))
    model.save(tmp_path / "m.keras")
    with pytest.warns(UserWarning, match="compile"):
        keras.models.load_model(
            tmp_path / "m.keras", custom_objects={"OwnCompile": module.OwnCompile}
        )
    results, _ = verify(str(tmp_path / "m.keras"), **settings)
    assert results["resume"].outcome is Outcome.SKIP
    assert "compile() of its own" in results["resume"].message


def test_several_optimizers_come_back_together(custom: Any, tmp_path: Path) -> None:
    """All of their variables are looked for; without labels no step is made, and none is shown."""
    module, settings = custom()
    keras = models.library("keras")
    model = in_and_out(keras, module.TwoOptimizers)
    model.compile(keras.optimizers.Adam(), keras.optimizers.SGD(0.1, momentum=0.9))
    for variable in model.second_optimizer.variables[2:]:
        variable.assign(np.full(variable.shape, 0.25))
    model.save(tmp_path / "m.keras")
    results, _ = verify(str(tmp_path / "m.keras"), **settings)
    assert results["resume"].outcome is Outcome.SKIP, results["resume"].message
    assert "come back whole (12 variables" in results["resume"].message
    assert "several optimizers" in results["resume"].message
