"""Custom objects, present and forgotten; Lambda layers; compile configurations that do not load."""

from __future__ import annotations

import importlib
import json
import sys
import zipfile
from typing import TYPE_CHECKING, Any

import pytest

from checkpointd.core.check_result import Outcome
from checkpointd.verify.load import runtime
from tests.helpers import models
from tests.helpers.load import load

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

# TensorFlow's and Keras's warnings about each other are not this project's.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file:UserWarning"),
]

_SOURCE = """
import {keras} as keras
import tensorflow as tf


class CustomDense(keras.layers.Layer):
    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units

    def build(self, input_shape):
        self.w = self.add_weight(shape=(input_shape[-1], self.units), name="w")
        super().build(input_shape)

    def call(self, inputs):
        return tf.matmul(inputs, self.w)

    def get_config(self):
        return {{**super().get_config(), "units": self.units}}


def custom_loss(y_true, y_pred):
    return tf.reduce_mean(tf.square(y_true - y_pred), axis=-1)


def custom_metric(y_true, y_pred):
    return tf.reduce_mean(tf.abs(y_true - y_pred))


def swoosh(x):
    return x * tf.sigmoid(x)
"""


@pytest.fixture(params=["keras", "tf_keras"])
def keras(request: pytest.FixtureRequest) -> Any:
    """Each Keras in turn."""
    return models.library(request.param)


@pytest.fixture
def user(keras: Any, tmp_path: Path) -> Iterator[Any]:
    """The user's own module, forgotten again once the model is saved."""
    name = f"user_{keras.__name__}"
    (tmp_path / f"{name}.py").write_text(_SOURCE.format(keras=keras.__name__))
    sys.path.insert(0, str(tmp_path))
    module = importlib.import_module(name)
    sys.path.remove(str(tmp_path))
    yield module
    sys.modules.pop(name, None)


def made(keras: Any, user: Any, kind: str) -> Any:
    """A model with one custom object of a kind in it."""
    layers = [keras.layers.Input((3,))]
    if kind == "CustomDense":
        layers.append(user.CustomDense(4))
    activation = user.swoosh if kind == "swoosh" else None
    layers.append(keras.layers.Dense(2, activation=activation))
    model = keras.Sequential(layers)
    loss = user.custom_loss if kind == "custom_loss" else keras.losses.MeanSquaredError()
    model.compile("sgd", loss, metrics=[user.custom_metric] if kind == "custom_metric" else None)
    return models.fitted(model)


@pytest.mark.parametrize("ending", ["keras", "h5"])
@pytest.mark.parametrize("kind", ["CustomDense", "custom_loss", "custom_metric", "swoosh"])
def test_a_custom_object_is_named_when_missing_and_used_when_given(
    keras: Any, user: Any, kind: str, ending: str, tmp_path: Path
) -> None:
    """The name and the line that adds it are reported; with that line the model loads and runs.

    What only the compile configuration names does not keep the model from being loaded and run.
    """
    path = str(tmp_path / f"m.{ending}")
    made(keras, user, kind).save(path)
    sys.modules.pop(user.__name__)
    form = "keras" if ending == "keras" else "hdf5"
    forgotten, _ = load(path, form)
    if (keras.__name__, kind, form) == ("keras", "custom_metric", "hdf5"):
        # Keras 3 builds an `.h5` file's metrics when training goes on, and not before.
        assert forgotten["load"].outcome is Outcome.PASS
        return
    only_compiled = kind in ("custom_loss", "custom_metric")
    reason = "load.compile_failed" if only_compiled else "load.unknown_object"
    assert forgotten["load"].reason == reason, forgotten["load"].message
    assert (forgotten["inference"].outcome is Outcome.PASS) is only_compiled
    assert forgotten["load"].details["object"] == kind
    says_where = ending == "keras" and kind == "CustomDense"  # of a function nothing does
    place = user.__name__ if says_where else "your_module"
    assert f'custom_objects = {{ {kind} = "{place}:{kind}" }}' in forgotten["load"].message
    given = {kind: f"{user.__name__}:{kind}"}
    found, _ = load(path, form, custom_objects=given, python_path=(str(tmp_path),))
    sys.path.remove(str(tmp_path))
    if (keras.__name__, kind, form) == ("tf_keras", "swoosh", "hdf5"):
        # tf-keras does not read back what it writes for a function, and Keras 3 does.
        assert found["load"].details["loader"] == "keras"
        assert "tf_keras 2" in found["load"].message
        assert found["inference"].outcome is Outcome.PASS, found["inference"].message
        return
    assert found["load"].outcome is Outcome.PASS, found["load"].message
    assert found["inference"].outcome is Outcome.PASS, found["inference"].message


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("nowhere_at_all:Thing", "there is no module 'nowhere_at_all'"),
        ("json:Thing", "'json' has no 'Thing'"),
        ("broken_module:Thing", "importing 'broken_module' failed with ValueError: no"),
    ],
)
def test_user_code_that_cannot_be_imported_is_not_the_checkpoints_fault(
    target: str, message: str, tmp_path: Path
) -> None:
    """A wrong entry in the config is an error of the environment, in one sentence."""
    (tmp_path / "broken_module.py").write_text("raise ValueError('no')")
    path = str(tmp_path / "m.keras")
    models.functional(models.library("keras")).save(path)
    results, _ = load(path, "keras", custom_objects={"Thing": target}, python_path=(str(tmp_path),))
    assert results["load"].reason == "load.environment"
    assert message in results["load"].message
    sys.path.remove(str(tmp_path))


@pytest.mark.parametrize("ending", ["keras", "h5"])
def test_a_lambda_layer_waits_for_permission(keras: Any, ending: str, tmp_path: Path) -> None:
    """Stored bytecode is not run unless `allow_code` allows it."""
    model = keras.Sequential([keras.layers.Input((3,)), keras.layers.Lambda(lambda x: x * 2)])
    path = str(tmp_path / f"m.{ending}")
    model.save(path)
    form = "keras" if ending == "keras" else "hdf5"
    results, _ = load(path, form)
    assert results["load"].outcome is Outcome.ERROR
    assert results["load"].reason == "safety.needs_code"
    allowed, _ = load(path, form, allow_code=True)
    assert allowed["load"].outcome is Outcome.PASS, allowed["load"].message
    assert allowed["inference"].outcome is Outcome.PASS, allowed["inference"].message


def _reconfigured(path: Path, edit: Callable[[dict[str, Any]], None]) -> None:
    """Change the configuration in a `.keras` file."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(members["config.json"])
    edit(config)
    members["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)


def test_a_module_that_is_not_named_is_not_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """tf-keras imports whatever a configuration names, and runs it by that: it is not let to."""
    marker = tmp_path / "marker"
    (tmp_path / "lurking.py").write_text(f"open({str(marker)!r}, 'w').close()")
    monkeypatch.syspath_prepend(str(tmp_path))
    path = tmp_path / "m.keras"
    models.sequential(models.library("tf_keras")).save(path)
    mine = {"class_name": "Mine", "module": "lurking", "registered_name": None}
    _reconfigured(path, lambda model: model.update(mine))
    results, _ = load(str(path), "keras")
    assert results["load"].reason == "load.unknown_object", results["load"].message
    assert "Mine" in results["load"].message
    assert not marker.exists()
    load(str(path), "keras", python_path=(str(tmp_path),))
    assert marker.exists()


@pytest.mark.parametrize(
    ("module", "name"), [("os", "system"), ("builtins", "eval"), ("keras.utils", "get_file")]
)
def test_load_calls_no_function_that_no_model_names(
    keras: Any, module: str, name: str, tmp_path: Path
) -> None:
    """Whatever `safety` was message to skip; with allow_code too."""
    path = tmp_path / "m.keras"
    models.sequential(keras).save(path)
    call = {"class_name": "function", "module": module, "config": name, "registered_name": None}
    _reconfigured(path, lambda m: m["config"]["layers"][-1]["config"].update(activation=call))
    results, _ = load(str(path), "keras", allow_code=True, skip=("safety",))
    assert results["load"].reason == "safety.code", results["load"].message
    assert f"{module}.{name}" in results["load"].message


def test_a_compile_configuration_that_does_not_load_is_a_warning(tmp_path: Path) -> None:
    """Keras 3 does not read back its own `.h5` with a loss named by a string; the model runs."""
    keras = models.library("keras")
    model = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(2)])
    model.compile("adam", "mse")
    path = str(tmp_path / "m.h5")
    models.fitted(model).save(path)
    results, _ = load(path, "hdf5")
    assert results["load"].reason == "load.compile_failed"
    assert results["load"].message.endswith(".")
    assert "\\n" not in results["load"].message
    assert results["load"].outcome is Outcome.WARN
    assert results["inference"].outcome is Outcome.PASS


def test_a_keras_2_archive_without_tf_keras_asks_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keras 3 cannot read a `.keras` of Keras 2: the message holds the pip command."""
    path = str(tmp_path / "m.keras")
    models.sequential(models.library("tf_keras")).save(path)
    monkeypatch.setattr(runtime, "installed", lambda: ("keras",))
    results, _ = load(path, "keras")
    assert results["load"].reason == "load.needs_legacy"
    assert "pip install 'checkpointd[legacy]'" in results["load"].message


def test_hdf5_of_keras_2_loads_under_keras_3_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without tf-keras, Keras 3 reads an `.h5` of Keras 2, and the report has its loader."""
    path = str(tmp_path / "m.h5")
    models.sequential(models.library("tf_keras")).save(path)
    monkeypatch.setattr(runtime, "installed", lambda: ("keras",))
    results, _ = load(path, "hdf5")
    assert results["load"].outcome in (Outcome.PASS, Outcome.WARN), results["load"].message
    assert results["load"].details["loader"] == "keras"
    assert results["load"].details["loader_version"].startswith("3.")
    assert results["inference"].outcome is Outcome.PASS


def test_a_file_of_a_later_keras_is_not_called_broken(tmp_path: Path) -> None:
    """What an older Keras cannot read of a newer one is a matter of the environment."""
    path = tmp_path / "m.keras"
    models.functional(models.library("keras")).save(path)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    metadata = json.loads(members["metadata.json"])
    metadata["keras_version"] = "3.999.0"
    config = members["config.json"].replace(b'"units": 2', b'"unitz": 2')
    members.update({"metadata.json": json.dumps(metadata).encode(), "config.json": config})
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    results, _ = load(str(path), "keras")
    assert results["load"].reason == "load.environment", results["load"].message
    assert "Keras 3.999.0 wrote it" in results["load"].message


def test_weights_that_are_missing_from_an_archive_are_a_load_error(tmp_path: Path) -> None:
    """An archive whose weights do not fit its own configuration is the checkpoint's own fault."""
    path = tmp_path / "m.keras"
    models.functional(models.library("keras")).save(path)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["config.json"] = members["config.json"].replace(b'"units": 2', b'"units": 7')
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    results, _ = load(str(path), "keras")
    assert results["load"].reason == "load.load_error"
