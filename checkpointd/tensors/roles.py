"""Which tensors are the model's weights, which the optimizer's, which neither, and why.

| container | model | optimizer | other |
| --- | --- | --- | --- |
| Keras `.h5` | `model_weights/…` | `optimizer_weights/…` | any other |
| `.weights.h5`, `.keras` | `vars` below any other | `…optimizer/…` | `metrics/…`, no `vars` |
| legacy weights `.h5` | what `layer_names` names | | any other |
| TensorFlow 2 | any other | `optimizer/…`, `….OPTIMIZER_SLOT/…` | `keras_api/metrics/…`, counters |
| TensorFlow 1 | any other | `w/Adam`, `w/Adam_1`, …, `beta1_power` | `global_step` |

Keras 3 keeps the model's own weights under `optimizer/_trainable_variables/N` when an optimizer
was saved with the model, because that is the shortest way to them: they are the model's.

No weights in any of them: the state of a random generator, a metric, and a single number that
nothing shows to be trained (the best loss so far, a loss scale). In TensorFlow 2 neither is what
hangs from the root beside the model and is not trained by the optimizer that is stored with it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from checkpointd.tensors import MODEL, OPTIMIZER, OTHER
from checkpointd.tensors.object_graph import ObjectGraph

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
_METRICS = frozenset({"metrics", "_metrics"})
_RANDOM = re.compile(r"_?seed_generator(_\d+|_state)?(:0)?$|_rng$|_random_generator$")
_STEPS = frozenset({"_iterations", "iter", "iterations"})
_COUNTERS = frozenset({"save_counter", "global_step", "_CHECKPOINTABLE_OBJECT_GRAPH"})


class Role(NamedTuple):
    """The role of a tensor, and what decided it."""

    role: str
    decided_by: str


def beside_weights(key: str, groups: frozenset[str] | None) -> Role | None:
    """The role of a dataset that lies where Keras keeps no weights: somebody else added it.

    Args:
        key: its path in the file.
        groups: those that hold weights; None: weights are in groups called `vars`.
    """
    above = key.split("/")[:-1]
    paths = ("/".join(above[: n + 1]) for n in range(len(above)))
    if "vars" in above if groups is None else any(path in groups for path in paths):
        return None
    return Role(OTHER, f"path in the file, where Keras keeps no weights: {key}")


def of_hdf5(
    key: str, shape: tuple[int, ...] | None = None, *, legacy_weights: bool = False
) -> Role:
    """Tell the role of a dataset by its path in the file, and by its shape."""
    parts = key.split("/")
    attribute = len(parts) > 1 and parts[0].endswith("optimizer")  # a model may have several
    kept = attribute or parts[0] == "optimizer_weights" or _follows(parts, "optimizer", "vars")
    if kept and not legacy_weights:
        return Role(OPTIMIZER, f"path in the file: {key}")
    if parts[0] == "metrics" and not legacy_weights:
        return Role(OTHER, f"path in the file: {key}")
    return _no_weight(parts, shape) or Role(MODEL, f"path in the file: {key}")


def optimizers(keys: Iterable[str]) -> frozenset[str]:
    """Find the objects of a TensorFlow 2 checkpoint that count steps as optimizers do."""
    paths = (key.split(ATTRIBUTES, 1)[0] for key in keys if ATTRIBUTES in key)
    return frozenset(
        path.rpartition("/")[0] for path in paths if path.rpartition("/")[2] in _STEPS
    ) - {""}


def of_bundle(
    key: str,
    optimizers: frozenset[str] = frozenset(),
    shape: tuple[int, ...] | None = None,
    objects: ObjectGraph | None = None,
) -> Role:
    """Tell the role of a TensorFlow checkpoint's entry by its key and by the graph of objects.

    Args:
        key: of the entry.
        optimizers: paths of objects known to be optimizers, whatever they are called.
        shape: of the entry.
        objects: what the checkpoint states about its variables; None where it states nothing.
    """
    name = key.split(ATTRIBUTES, 1)[0]
    if name in _COUNTERS:
        return Role(OTHER, f"name: {name}")
    if ATTRIBUTES in key:
        return _of_object(key, name, optimizers, shape, objects or ObjectGraph())
    if _TF1_SLOTS.search(name) or _TF1_POWERS.search(name):
        return Role(OPTIMIZER, f"name: {name}")
    return _no_weight(name.split("/"), shape) or Role(MODEL, f"name: {name}")


def _of_object(
    key: str,
    name: str,
    optimizers: frozenset[str],
    shape: tuple[int, ...] | None,
    objects: ObjectGraph,
) -> Role:
    why = f"object graph: {name}"
    if _SLOT in name:
        return Role(OPTIMIZER, why)
    if "/_trainable_variables/" in name or key in objects.trained:
        return Role(MODEL, f"{why}, which the optimizer trains")
    parts = name.split("/")
    listed = any(a in _METRICS and b.isdigit() for a, b in zip(parts, parts[1:]))
    if listed or _follows(parts, "keras_api", "metrics"):
        return Role(OTHER, f"a metric: {name}")
    owners = {"/".join(parts[:i]) for i in range(1, len(parts))}
    if "optimizer" in parts[:-1] or owners & optimizers:
        return Role(OPTIMIZER, why)
    if key in objects.at_root and objects.has_model and objects.trained:
        return Role(OTHER, f"{why} hangs beside the model, and the optimizer does not train it")
    return _no_weight(parts, shape) or Role(MODEL, why)


def is_random_state(name: str) -> bool:
    """Whether a variable's own name is that of the state of a random generator."""
    return any(_RANDOM.match(part) for part in name.split("/"))


def _no_weight(parts: list[str], shape: tuple[int, ...] | None) -> Role | None:
    """Explain why a tensor is no weight, whatever holds it; None where nothing shows that."""
    path = "/".join(parts)
    if is_random_state(path):
        return Role(OTHER, f"the state of a random generator: {path}")
    if shape == ():
        return Role(OTHER, f"a single number that nothing shows to be trained: {path}")
    return None


def _follows(parts: list[str], first: str, second: str) -> bool:
    return any(a == first and b == second for a, b in zip(parts, parts[1:]))
