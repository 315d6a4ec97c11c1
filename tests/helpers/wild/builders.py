"""Untrained models of every kind, for `builder` in a config: `builders:keras__one_dense_layer`."""

from __future__ import annotations

from typing import Any

from tests.helpers import models
from tests.helpers.wild import keras_cases, zoo


def name_of(keras: str, kind: zoo.Kind) -> str:
    """What a kind's builder is called."""
    return f"{keras}__" + "".join(c if c.isalnum() else "_" for c in kind.said)


def __getattr__(name: str) -> Any:
    keras = name.partition("__")[0]
    for kind in (*zoo.KINDS, *keras_cases.OWN):
        if name_of(keras, kind) == name:
            library = models.library(keras)
            library.utils.set_random_seed(99)
            return lambda: kind.make(library)[0]
    raise AttributeError(name)
