"""Keras's own classes, and what only looks like one of the user's or like damage, when it loads."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import h5py
import pytest

from checkpointd.core.check_result import Outcome
from checkpointd.verify.load import keras_built_ins, runtime
from tests.helpers import models
from tests.helpers.load import load, verify
from tests.helpers.scan import scanned

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file:UserWarning"),
]


def operated(operation: Callable[[Any, Any], Any], path: Path) -> str:
    """Save a model of Keras 3 with an operation in it."""
    keras = models.library("keras")
    entry = keras.Input((4, 3))
    hidden = keras.layers.Dense(3)(entry)
    keras.Model(entry, operation(keras, hidden)).save(path)
    return str(path)


OPERATIONS: dict[str, Callable[[Any, Any], Any]] = {
    "GetItem": lambda _keras, x: x[:, 0],
    "Mean": lambda keras, x: keras.ops.mean(x, axis=1),  # a metric is called so, too
    "Add": lambda _keras, x: x + 1.0,  # a layer is called so, too
    "Multiply": lambda _keras, x: x * x,
    "Softmax": lambda keras, x: keras.ops.softmax(x),
    "Cast": lambda keras, x: keras.ops.cast(x, "float16"),  # with a dtype, as layers have
    "ExpandDims": lambda keras, x: keras.ops.expand_dims(x, -1),
}


@pytest.mark.parametrize("name", list(OPERATIONS))
def test_an_operation_of_keras_is_not_the_users(name: str, tmp_path: Path) -> None:
    """An `.h5` that Keras cannot read back proves nothing; named, or as `.keras`, it loads."""
    path = operated(OPERATIONS[name], tmp_path / "m.h5")
    results, _ = verify(path)
    found = results["load"]
    if found.outcome is Outcome.PASS:  # a layer of that name does the same
        assert results["inference"].outcome is Outcome.PASS
    else:
        assert found.reason == "load.environment", found.message
        assert f"uses {name!r} of Keras's own operations" in found.message
        assert "save it as .keras" in found.message
        target = json.loads(
            found.details["config"].partition(" = ")[2].split(" = ")[1].rstrip(" }")
        )
        assert target.endswith(f":{name}")
        given, _ = verify(path, custom_objects={name: target})
        assert given["load"].outcome is Outcome.PASS, given["load"].message
        assert given["inference"].outcome is Outcome.PASS, given["inference"].message
    whole, _ = verify(operated(OPERATIONS[name], tmp_path / "m.keras"))
    assert whole["load"].outcome is Outcome.PASS, whole["load"].message


def reconfigured(path: Path, edit: Callable[[dict[str, Any]], None], version: str = "") -> str:
    """Save a model of Keras 2 as `.h5`, with another configuration."""
    import h5py

    models.functional(models.library("tf_keras")).save(path)
    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        edit(next(c for c in config["config"]["layers"] if c["class_name"] == "Dense"))
        file.attrs["model_config"] = json.dumps(config)
        if version:
            file.attrs["keras_version"] = version
    return str(path)


def named(kind: str, **arguments: Any) -> Callable[[dict[str, Any]], None]:
    """Give a layer another class, and more arguments."""

    def edit(layer: dict[str, Any]) -> None:
        layer["class_name"] = kind
        layer["config"].update(arguments)

    return edit


@pytest.mark.parametrize("kind", ["Convolution2D", "TimeDistributedDense", "Highway", "Merge"])
def test_a_class_of_keras_1_is_not_the_users(kind: str, tmp_path: Path) -> None:
    """Neither in what Keras 1 wrote, nor in what an early Keras 2 wrote."""
    if kind != "Convolution2D":
        results, _ = load(reconfigured(tmp_path / "m.h5", named(kind), "2.0.8"), "hdf5")
        assert results["load"].reason == "load.environment", results["load"].message
        assert f"Keras's own {kind!r}" in results["load"].message
    results, _ = load(reconfigured(tmp_path / "n.h5", named(kind, nb_row=3), "1.2.2"), "hdf5")
    assert results["load"].reason == "load.environment", results["load"].message
    assert "Keras 1 wrote it" in results["load"].message
    assert "not Keras's own" not in results["load"].message


@pytest.mark.parametrize(
    ("edit", "reason", "message"),
    [
        (named("Mean"), "load.unknown_object", "Keras has no layer of that name"),
        (named("Bespoke"), "load.unknown_object", "not Keras's own"),
        (named("MultiHeadAttention", head_num=3), "load.unknown_object", "'head_num'"),
        (lambda layer: layer["config"].pop("units"), "load.load_error", "units"),
        (
            lambda layer: layer["config"].update(unitz=layer["config"].pop("units")),
            "load.load_error",
            "unit",
        ),
    ],
    ids=["another kind", "unknown", "same name", "missing", "damaged"],
)
def test_a_name_that_keras_has_for_something_else_is_no_damage(
    edit: Callable[[dict[str, Any]], None], reason: str, message: str, tmp_path: Path
) -> None:
    """Keras 2 writes no module: a class may be the user's. Damage is one character, or a gap."""
    results, _ = load(reconfigured(tmp_path / "m.h5", edit), "hdf5")
    assert results["load"].reason == reason, results["load"].message
    assert message in results["load"].message


def test_a_class_that_its_own_keras_does_not_find_is_not_the_users(tmp_path: Path) -> None:
    """An experimental layer of tf-keras, which it saves and cannot load."""
    keras = models.library("tf_keras")
    features = keras.layers.experimental.RandomFourierFeatures(4)
    for name in ("m.keras", "m.h5"):
        path = str(tmp_path / name)
        keras.Sequential([keras.layers.Input((3,)), features]).save(path)
        results, _ = verify(path)
        assert results["load"].reason == "load.environment", results["load"].message
        assert "Keras's own 'RandomFourierFeatures'" in results["load"].message


def test_a_model_that_was_never_built_is_valid(tmp_path: Path) -> None:
    """It has no weights yet, as TensorFlow 2.0 saved it, and no check stumbles over that."""
    import h5py

    layers = [models.library("tf_keras").layers.Dense(2, name=name) for name in ("a", "b")]
    made = [{"class_name": "Dense", "config": layer.get_config()} for layer in layers]
    config = {"class_name": "Sequential", "config": {"name": "net", "layers": made}}
    path = str(tmp_path / "m.h5")
    with h5py.File(path, "w") as file:
        file.attrs.update(keras_version="2.2.4-tf", backend="tensorflow")
        file.attrs["model_config"] = json.dumps(config)
        weights = file.create_group("model_weights")
        weights.attrs.update(keras_version="2.2.4-tf", layer_names=[b"a", b"b"])
        for layer in layers:
            weights.create_group(layer.name).attrs["weight_names"] = []
    results, _ = verify(path)
    assert results["load"].outcome is Outcome.PASS, results["load"].message
    assert {r.outcome for r in results.values()} == {Outcome.PASS, Outcome.SKIP}
    assert not any("check itself failed" in r.message for r in results.values())


def test_another_keras_is_tried_where_the_writers_own_does_not_load_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What one real loader reads whole and runs is valid, and the report names it."""
    path = reconfigured(tmp_path / "m.h5", lambda _layer: None, "2.21.0")
    legacy = models.library("tf_keras")

    def broken(*_arguments: Any, **_more: Any) -> None:
        raise ValueError("this one cannot")

    monkeypatch.setattr(legacy.models, "load_model", broken)
    results, _ = verify(path)
    assert results["load"].details["loader"] == "keras"
    assert "tf_keras 2" in results["load"].message
    assert "this one cannot" in results["load"].message
    assert results["inference"].outcome is Outcome.PASS
    monkeypatch.setattr(runtime, "installed", lambda: ("tf_keras",))
    alone, _ = verify(path)
    assert alone["load"].reason == "load.load_error"


def test_the_cause_of_a_failure_comes_first(tmp_path: Path) -> None:
    """An argument that get_config forgot: said in front, with what to do, and evidence."""
    keras = models.library("keras")

    class Block(keras.layers.Layer):  # type: ignore[name-defined,misc]
        def __init__(self, units: int, **more: Any) -> None:
            super().__init__(**more)
            self.inner = keras.layers.Dense(units)

        def build(self, shape: Any) -> None:
            self.inner.build(shape)

        def call(self, inputs: Any) -> Any:
            return self.inner(inputs)

        def get_config(self) -> dict[str, Any]:
            return dict(super().get_config())

    models.Block = Block  # type: ignore[attr-defined]
    path = str(tmp_path / "m.keras")
    keras.Sequential([keras.layers.Input((3,)), Block(4)]).save(path)
    results, _ = verify(path, custom_objects={"Block": "tests.helpers.models:Block"})
    del models.Block  # type: ignore[attr-defined]
    message = results["load"].message
    assert results["load"].reason == "load.load_error"
    assert message.startswith("It cannot be loaded: TypeError: ")
    assert message.index("'units'") < 150
    assert "get_config of Block does not give it" in message
    assert "config={" not in message


def test_a_version_that_is_not_known_yet_is_tried(tmp_path: Path) -> None:
    """What a later Keras wrote, and the one that is here loads, is valid."""
    keras = models.library("keras")
    path = tmp_path / "m.h5"
    keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(2)]).save(path)
    with h5py.File(path, "r+") as file:
        file.attrs["keras_version"] = "4.2.0"
    results, _ = verify(str(path))
    assert results["load"].outcome is Outcome.PASS, results["load"].message


def test_a_class_that_keras_exports_under_another_name_is_not_the_users() -> None:
    """`layers.GroupQueryAttention` is a class called GroupedQueryAttention."""
    keras = models.library("keras")
    assert keras_built_ins.is_built_in("GroupedQueryAttention", keras)
    assert keras_built_ins.is_built_in("GroupedQueryAttention", keras, "layer")
    assert not keras_built_ins.is_built_in("GroupedQuery", keras)


def test_a_save_that_an_error_stopped_is_known_without_loading(tmp_path: Path) -> None:
    """Two weights of one name: Keras 2 raises half way, and the file is closed in good order."""
    keras = models.library("tf_keras")

    def build(self: Any, _: Any) -> None:
        self.one = self.add_weight(name="w", shape=(2,))
        self.other = self.add_weight(name="w", shape=(2,))

    members = {"build": build, "call": lambda _self, inputs: inputs}
    twins = type("Twins", (keras.layers.Layer,), members)()
    model = keras.Sequential([keras.layers.InputLayer((2,)), twins, keras.layers.Dense(2)])
    with pytest.raises(ValueError, match="name already exists"):
        model.save_weights(tmp_path / "m.h5")
    result = scanned(tmp_path / "m.h5")
    assert result.reasons == ["structure.truncated"]
    assert "two weights of one name" in result.checks["structure"].message
