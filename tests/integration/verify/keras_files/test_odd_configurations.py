"""Any JSON anywhere in a model's configuration gets an answer from what reads it, never an error.

Found by a mutation that wrote an object where a class's name belongs.
"""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

import pytest

from checkpointd.core.verify_settings import VerifySettings
from checkpointd.verify.keras_files import keras_code, keras_config, origin
from checkpointd.verify.load import keras_built_ins
from checkpointd.verify.load.loaders import trusted_modules
from tests.helpers import models

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ODD = (None, True, 0, 1.5, "", "x", [], ["a"], [[1]], {}, {"class_name": "Dense", "config": []})
"""A value of every type that JSON knows."""


def sequential(keras: Any) -> Any:
    """Give the configuration of a compiled model with code in it."""
    layers = keras.layers
    model = keras.Sequential([layers.Input((6,)), layers.Lambda(abs), layers.Dense(3)])
    model.compile("adam", "mse", metrics=["accuracy"])
    return keras.saving.serialize_keras_object(model)


def functional(keras: Any) -> Any:
    """Give the configuration of a model with operations in it, as an HDF5 file holds it."""
    entry = keras.Input((4,))
    model = keras.Model(entry, keras.layers.Dense(2, activation="relu")(entry[:, :2]) + 1)
    return json.loads(model.to_json())


def places(node: Any) -> Iterator[tuple[Any, Any]]:
    """Give each container in a configuration with each of its keys."""
    for key, value in list(node.items() if isinstance(node, dict) else enumerate(node)):
        yield node, key
        if isinstance(value, dict | list):
            yield from places(value)


@pytest.mark.parametrize("configuration", [sequential, functional])
def test_any_json_anywhere_is_answered(configuration: Callable[[Any], Any]) -> None:
    """Each reader of configurations takes each type at each place."""
    keras, settings = models.library("keras"), VerifySettings()
    config = copy.deepcopy(json.loads(json.dumps(configuration(keras))))
    readers: tuple[Callable[[], object], ...] = (
        lambda: trusted_modules.foreign_code(config, {}),
        lambda: trusted_modules.not_to_import(config, keras, {}, settings),
        lambda: keras_built_ins.unresolved(config, keras, {}),
        lambda: keras_built_ins.is_marked_built_in("Dense", config),
        lambda: keras_built_ins.dropped(config),
        lambda: origin.names_policy(config, "mixed_float16"),
        lambda: keras_code.find_stored_code(config),
        lambda: keras_code.find_foreign_bytecode(config),
        lambda: keras_config.KerasConfig("3", "tensorflow", config, config).custom_objects,
    )
    tried = 0
    for container, key in places(config):
        right = container[key]
        for odd in ODD:
            container[key] = odd
            for read in readers:
                read()
            tried += 1
        container[key] = right
    assert tried > 500
