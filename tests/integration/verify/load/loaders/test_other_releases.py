"""What one release of Keras writes and another does not read: no damage."""

from __future__ import annotations

import io
import json
import zipfile
from typing import TYPE_CHECKING, Any

import h5py
import pytest

from checkpointd.core.check_result import CheckResult, Outcome
from tests.helpers import models
from tests.helpers.load import load, verify

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file:UserWarning"),
]


@pytest.mark.parametrize("library", ["keras", "tf_keras"])
def test_names_that_keras_finds_on_windows_alone_are_no_damage(
    library: str, tmp_path: Path
) -> None:
    """Keras 2.13 joined the names of groups with backslashes there, as keras#18528 reports."""
    made = models.library(library)
    model = made.Sequential([made.layers.Input((3,)), made.layers.Dense(2)])
    result = _load_renamed(model, tmp_path, "layers\\{}")
    assert result.reason == "load.environment"
    assert "on Windows" in result.message


@pytest.mark.parametrize("has_assets", [False, True])
def test_names_that_only_keras_2_12_to_2_14_find_are_no_damage(
    has_assets: bool, tmp_path: Path
) -> None:
    """They went through `_layer_checkpoint_dependencies`, and later ones go through `layers`."""
    made = models.library("tf_keras")
    inputs = made.Input((1,), dtype="string") if has_assets else made.Input((3,))
    hidden = made.layers.TextVectorization(vocabulary=["a"])(inputs) if has_assets else inputs
    first = made.layers.Embedding(9, 2) if has_assets else made.layers.Dense(4)
    model = made.Model(inputs, made.layers.Dense(2)(first(hidden)))
    result = _load_renamed(model, tmp_path, "_layer_checkpoint_dependencies/{}")
    assert result.reason == "load.environment", result.message
    assert "load it with TensorFlow 2.12 to 2.14" in result.message


def _load_renamed(model: Any, home: Path, to: str) -> CheckResult:
    """Load what a model saves, with other names for the groups of its layers' weights."""
    whole, other = home / "whole.keras", home / "other.keras"
    model.save(whole)
    weights = io.BytesIO()
    with zipfile.ZipFile(whole) as archive, zipfile.ZipFile(other, "w") as out:
        stored = h5py.File(io.BytesIO(archive.read("model.weights.h5")), "r")
        with stored, h5py.File(weights, "w") as renamed:
            stored.copy("vars", renamed)
            for name in stored["layers"]:
                stored.copy(f"layers/{name}", renamed, name=to.format(name))
        for name in ("metadata.json", "config.json"):
            out.writestr(name, archive.read(name))
        out.writestr("model.weights.h5", weights.getvalue())
    return verify(str(other))[0]["load"]


def test_a_layer_shared_with_a_nested_model_is_explained(tmp_path: Path) -> None:
    """Keras 3.15.1 stores its weights once in a `.keras` file, and does not find them again."""
    keras = models.library("keras")
    shared, inner_input = keras.layers.Dense(4, name="shared"), keras.Input((4,))
    inner = keras.Model(inner_input, shared(inner_input), name="inner")
    outer_input = keras.Input((4,))
    model = keras.Model(outer_input, shared(inner(outer_input)))
    model.save(tmp_path / "m.keras")
    result = load(str(tmp_path / "m.keras"), "keras")[0]["load"]
    assert result.reason == "load.load_error"
    assert "The layer 'shared' belongs to a model and to another one inside it" in result.message


def test_an_argument_that_a_newer_keras_dropped_is_no_damage(tmp_path: Path) -> None:
    """As `value_range` of RandomRotation, which Keras 3.3 wrote; a damaged name is damage."""
    keras = models.library("keras")
    path = tmp_path / "m.keras"
    keras.Sequential([keras.Input((8, 8, 3)), keras.layers.RandomRotation(0.1)]).save(path)
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    metadata = json.loads(parts["metadata.json"])
    for name, version, reason in (
        ("value_range", "3.3.3", "load.environment"),
        ("value_range", keras.__version__, "load.load_error"),
        ("fill_modf", "3.3.3", "load.load_error"),
    ):
        config = json.loads(parts["config.json"])
        config["config"]["layers"][-1]["config"][name] = [0, 255]
        parts["config.json"] = json.dumps(config).encode()
        parts["metadata.json"] = json.dumps({**metadata, "keras_version": version}).encode()
        with zipfile.ZipFile(path, "w") as archive:
            for part, content in parts.items():
                archive.writestr(part, content)
        config["config"]["layers"][-1]["config"].pop(name)
        parts["config.json"] = json.dumps(config).encode()
        results, _ = load(str(path), "keras")
        assert results["load"].reason == reason, results["load"].message
        if reason == "load.environment":
            assert "'value_range' of RandomRotation" in results["load"].message
            assert "load it with Keras 3.3.3" in results["load"].message


def test_a_text_that_keras_takes_for_a_function_is_no_damage(tmp_path: Path) -> None:
    """`score_mode="dot"`, the default of Attention: Keras 3 does not load its own `.h5` of it."""
    keras = models.library("keras")
    entry = keras.Input((4, 3))
    model = keras.Model(entry, keras.layers.Attention()([entry, entry]))
    model.save(tmp_path / "m.h5")
    results, _ = verify(str(tmp_path / "m.h5"))
    if results["load"].outcome is Outcome.PASS:  # a Keras that reads it
        return
    assert results["load"].reason == "load.environment", results["load"].message
    assert "custom_objects={'dot': 'dot'}) loads it" in results["load"].message
    given = keras.models.load_model(tmp_path / "m.h5", custom_objects={"dot": "dot"})
    assert given.layers[-1].score_mode == "dot"
