"""The digest of a model's configuration: what Keras writes for the same model, and for another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from checkpointd.core.format_specs import Format
from checkpointd.verify.keras_files import keras_config
from checkpointd.verify.keras_files.model_digest import digest_of_model

if TYPE_CHECKING:
    from pathlib import Path

FORMATS = {".keras": Format.KERAS, ".h5": Format.HDF5}


def build(keras: Any, activation: str = "relu", rate: float = 0.1, **options: Any) -> Any:
    """A functional model with a branch, which is what lists of names refer to."""
    inputs = keras.Input((4,))
    left = keras.layers.Dense(3, activation=activation, **options)(inputs)
    right = keras.layers.Dropout(rate, seed=7)(keras.layers.Dense(3)(inputs))
    outputs = keras.layers.Softmax()(keras.layers.Add()([left, right]))
    return keras.Model(inputs, outputs)


def digest(model: Any, path: Path) -> str:
    """The digest of a model that is saved."""
    model.save(path)
    return digest_of_model(keras_config.read(str(path), FORMATS[path.suffix]).model)


@pytest.mark.parametrize("ending", FORMATS)
def test_the_same_model_has_one_digest_however_it_is_trained(tmp_path: Path, ending: str) -> None:
    """Compiled or not, frozen or not, built again in the same process, loaded and saved again."""
    import keras

    keras.utils.clear_session()
    path = tmp_path / f"m{ending}"
    model = build(keras)
    expected = digest(model, path)
    assert len(expected) == 64
    loaded = keras.models.load_model(path)
    model.layers[1].trainable = False
    model.compile("adam", "mse")
    variants = [model, loaded, build(keras), build(keras, kernel_initializer="he_normal")]
    assert [digest(variant, path) for variant in variants] == [expected] * 4


@pytest.mark.parametrize("ending", FORMATS)
def test_another_model_has_another_digest(tmp_path: Path, ending: str) -> None:
    """Another activation, rate, order or kind of layers, although the tensors are the same."""
    import keras

    inputs = keras.Input((4,))
    plain = keras.layers.Dense(3, activation="relu")(inputs)
    models = [
        build(keras),
        build(keras, "tanh"),
        build(keras, rate=0.5),
        build(keras, use_bias=False),
        keras.Model(inputs, plain),
        keras.Model(inputs, keras.layers.Dense(3)(plain)),
        keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, activation="relu")]),
    ]
    assert len({digest(model, tmp_path / f"m{ending}") for model in models}) == len(models)


def test_a_file_without_a_model_has_none() -> None:
    """Weights alone are of no model in particular."""
    assert digest_of_model({}) == ""


def test_what_is_of_a_user_or_learned_from_data_does_not_count() -> None:
    """A layer's own settings may hold its state; a vocabulary changes with the data."""

    def model(temperature: float, vocabulary: list[str]) -> dict[str, Any]:
        own = {"module": "mylib", "class_name": "Gate", "registered_name": "mylib>Gate"}
        lookup = {"module": "keras.layers", "class_name": "StringLookup"}
        return {
            "class_name": "Sequential",
            "config": {
                "layers": [
                    {**lookup, "config": {"name": "a", "vocabulary": vocabulary}},
                    {**own, "config": {"name": "b", "temperature": temperature}},
                ]
            },
        }

    assert digest_of_model(model(0.5, ["x"])) == digest_of_model(model(0.1, ["x", "y"]))
