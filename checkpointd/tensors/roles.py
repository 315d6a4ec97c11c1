"""Which tensors are the model's, which the optimizer's: told from names alone.

| container | model | optimizer | other |
| --- | --- | --- | --- |
| Keras `.h5` | `model_weights/…` | `optimizer_weights/…` | |
| `.weights.h5`, `.keras` | `layers/…`, `vars/…`, any other | `…optimizer/…` | `metrics/…` |
| legacy weights `.h5` | everything | | |
| TensorFlow 2 | any other | `optimizer/…`, `….OPTIMIZER_SLOT/…` | `keras_api/metrics/…`, counters |
| TensorFlow 1 | any other | `w/Adam`, `w/Adam_1`, …, `beta1_power` | `global_step` |

Keras 3 keeps the model's own weights under `optimizer/_trainable_variables/N` when an optimizer
was saved with the model, because that is the shortest way to them: they are the model's.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from checkpointd.tensors import MODEL, OPTIMIZER, OTHER

if TYPE_CHECKING:
    from collections.abc import Iterable

ATTRIBUTES = "/.ATTRIBUTES/"
"""What stands between an object's path and its attribute in a TensorFlow 2 key."""

_SLOT = "/.OPTIMIZER_SLOT/"
_TF1_SLOTS = re.compile(
    r"/(Adam|AdamW|AdaMax|Adagrad|Adadelta|AdagradDA|Momentum|RMSProp|Ftrl|Nadam|LARS|LAMB"
    r"|lars_momentum|adam_[mv]|ExponentialMovingAverageSlot)(_\d+)?$"
)
_TF1_POWERS = re.compile(r"(^|/)beta[12]_power(_\d+)?$")
_STEPS = frozenset({"_iterations", "iter", "iterations"})
_COUNTERS = frozenset({"save_counter", "global_step", "_CHECKPOINTABLE_OBJECT_GRAPH"})


def of_hdf5(key: str, *, legacy_weights: bool = False) -> str:
    """Tell the role of a dataset by its path in the file."""
    parts = key.split("/")
    if legacy_weights:
        return MODEL
    attribute = len(parts) > 1 and parts[0].endswith("optimizer")  # a model may have several
    if attribute or parts[0] == "optimizer_weights" or _follows(parts, "optimizer", "vars"):
        return OPTIMIZER
    return OTHER if parts[0] == "metrics" else MODEL


def optimizers(keys: Iterable[str]) -> frozenset[str]:
    """Find the objects of a TensorFlow 2 checkpoint that count steps as optimizers do."""
    paths = (key.split(ATTRIBUTES, 1)[0] for key in keys if ATTRIBUTES in key)
    return frozenset(
        path.rpartition("/")[0] for path in paths if path.rpartition("/")[2] in _STEPS
    ) - {""}


def of_bundle(key: str, optimizers: frozenset[str] = frozenset()) -> str:
    """Tell the role of a TensorFlow checkpoint's entry by its key.

    Args:
        key: of the entry.
        optimizers: paths of objects known to be optimizers, whatever they are called.
    """
    name = key.split(ATTRIBUTES, 1)[0]
    if name in _COUNTERS:
        return OTHER
    if ATTRIBUTES not in key:
        return OPTIMIZER if _TF1_SLOTS.search(name) or _TF1_POWERS.search(name) else MODEL
    if _follows(name.split("/"), "keras_api", "metrics"):
        return OTHER
    if _SLOT in name:
        return OPTIMIZER
    if "/_trainable_variables/" in name:
        return MODEL
    parts = name.split("/")
    owners = {"/".join(parts[:i]) for i in range(1, len(parts))}
    return OPTIMIZER if "optimizer" in parts[:-1] or owners & optimizers else MODEL


def _follows(parts: list[str], first: str, second: str) -> bool:
    return any(a == first and b == second for a, b in zip(parts, parts[1:]))
