"""The loader of whole Keras models, without TensorFlow."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from checkpointd.core.format_specs import Format
from checkpointd.verify.load.loaders import keras


@pytest.mark.parametrize("guarded", [True, False])
def test_safe_mode_is_given_to_a_keras_that_has_it(guarded: bool) -> None:
    """Before 2.13 `load_model` did not take it, and a good file is no load error."""
    asked: dict[str, Any] = {}

    def new(name: str, *, custom_objects: Any, compile: bool, safe_mode: bool) -> str:  # noqa: A002
        asked.update(custom_objects=custom_objects, compile=compile, safe_mode=safe_mode)
        return name

    def old(name: str, custom_objects: Any = None, compile: bool = True) -> str:  # noqa: A002
        asked.update(custom_objects=custom_objects, compile=compile)
        return name

    library = SimpleNamespace(models=SimpleNamespace(load_model=new if guarded else old))
    keras.load_model("/x/m.h5", Format.HDF5, library, {}, False, compiled=True)
    assert asked == {
        "custom_objects": {},
        "compile": True,
        **({"safe_mode": True} if guarded else {}),
    }
