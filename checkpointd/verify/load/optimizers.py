"""Optimizers as facts: the one that was saved, the one that came back, and how they differ.

Keras restores an optimizer in silence or not at all: where a count of variables differs it leaves
all of them as they are, where a configuration has no optimizer it makes RMSprop. So every
variable that the file holds is searched among those of the optimizer that came back, by the
digest of its values.
"""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from checkpointd import golden
from checkpointd.golden import backends
from checkpointd.tensors.statistics import item_size
from checkpointd.verify.load import runtime
from checkpointd.verify.suite import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from checkpointd.core.report import Digest

_COUNTERS = frozenset({"iteration", "iterations", "_iterations", "iter"})
_NOT_COMPARED = frozenset(
    {"name", "jit_compile", "is_legacy_optimizer", "module", "registered_name", "shared_object_id"}
)
"""What has no effect on how training goes on: names, machines, the layout of a configuration."""

_WHOLE = frozenset({"int32", "int64", "uint32", "uint64"})
_FRACTIONS = frozenset({"float16", "float32", "float64"})
_RELATIVE = 1e-5  # a float32 hyperparameter as a float64 and back
_SHOWN = 3


@dataclass(frozen=True)
class Optimizer:
    """One optimizer, as a file or a golden record describes it, or as it is in memory.

    `names` are those of its class, the one to print first, and empty where it is not known;
    `config` are its hyperparameters as Keras gives them; `step` counts the steps that it has made,
    `counts` are all whole numbers in memory: JAX counts in another type than TensorFlow.
    """

    names: tuple[str, ...] = ()
    config: Mapping[str, Any] = field(default_factory=dict)
    tensors: tuple[Digest, ...] = ()
    step: int | None = None
    counts: tuple[int, ...] = ()

    @property
    def name(self) -> str:
        """What to call it in a sentence."""
        return printable(self.names[0], 80) if self.names else "an optimizer"


def has_loss_scale(tensors: Iterable[Digest]) -> bool:
    """Whether stored variables are those of an optimizer that scales the loss for another."""
    return any("inner_optimizer" in d.name.split("/") for d in tensors)


def from_config(node: Any) -> Optimizer:
    """Read an optimizer from a configuration: `class_name` and `config`, or a mere name."""
    if isinstance(node, str):
        return Optimizer((node,))
    if not isinstance(node, dict) or not isinstance(node.get("class_name"), str):
        return Optimizer()
    registered = node.get("registered_name")
    names = [node["class_name"], *([registered] if isinstance(registered, str) else [])]
    config = node.get("config")
    return Optimizer(
        tuple(name.rpartition(">")[2] for name in names), config if isinstance(config, dict) else {}
    )


def is_optimizer(value: Any) -> bool:
    """Whether an object of any library is an optimizer."""
    return callable(getattr(value, "apply_gradients", None)) and hasattr(value, "get_config")


def of_model(model: Any) -> tuple[Any, ...]:
    """Find the optimizers of a model: the one that it was compiled with, and its attributes."""
    held = (getattr(model, "optimizer", None), *getattr(model, "__dict__", {}).values())
    return tuple({id(value): value for value in held if is_optimizer(value)}.values())


def from_memory(optimizer: Any) -> Optimizer:
    """Describe an optimizer as it is in this process."""
    try:
        config = dict(optimizer.get_config())
    except Exception:  # noqa: BLE001 - a user's class
        config = {}
    tensors = []
    counts = []
    for variable in _variables(optimizer):
        values = backends.numpy_of(variable)
        if values.dtype.kind in "iu" and not values.shape:
            counts.append(int(values))
        if values.dtype.kind not in "OSU":
            name = str(getattr(variable, "path", None) or getattr(variable, "name", ""))
            tensors.append(golden.digest_of(name, values))
    step = _step(optimizer)
    return Optimizer(_class_names(optimizer), config, tuple(tensors), step, tuple(counts))


def _class_names(optimizer: Any) -> tuple[str, ...]:
    kind = type(optimizer)
    library = runtime.library_of(optimizer)
    registered = getattr(getattr(library, "saving", None), "get_registered_name", None)
    names = [kind.__name__, *([registered(kind)] if callable(registered) else [])]
    return tuple(str(name).rpartition(">")[2] for name in names)


def _step(optimizer: Any) -> int | None:
    try:
        return int(optimizer.iterations)
    except (AttributeError, TypeError, ValueError):
        return None


def _variables(optimizer: Any) -> Iterator[Any]:
    """Every variable of an optimizer once, those of one inside it too."""
    seen: set[int] = set()
    waiting = [optimizer]
    while waiting:
        item = waiting.pop()
        own = getattr(item, "variables", ())
        attributes = list(vars(item).values()) if hasattr(item, "__dict__") else []
        hyper = getattr(item, "_hyper", None)  # Keras 2's hyperparameters
        attributes += list(hyper.values()) if isinstance(hyper, dict) else []
        for value in (*(own() if callable(own) else own), *attributes):
            if id(value) in seen:
                continue
            seen.add(id(value))
            if callable(getattr(value, "numpy", None)) and hasattr(value, "assign"):
                yield value
            elif is_optimizer(value):
                waiting.append(value)


def differences(saved: Optimizer, back: Optimizer, *, bundle: bool) -> list[str]:
    """Describe how an optimizer that came back differs from the one that was saved.

    Args:
        saved: what file and record hold; what they do not hold is not compared.
        back: the one in memory.
        bundle: the format is TensorFlow's, where hyperparameters are stored as scalars that
            no longer need to be variables when they come back.

    Returns:
        Parts of a sentence; empty when it is the same.
    """
    sentences = []
    inner = from_config(back.config.get("inner_optimizer"))
    same = inner if _same_class(saved, inner) and has_loss_scale(saved.tensors) else back
    if saved.names and not _same_class(saved, same):
        sentences.append(f"{saved.name} was saved and {back.name} comes back")
    else:
        sentences += [
            printable(f"its {key} was {_format_value(before)} and is {_format_value(now)}", 200)
            for key, before, now in _unequal(saved.config, same.config)
        ]
    missing = lost(saved, back, bundle=bundle)
    if missing:
        shown = ", ".join(d.name for d in missing[:_SHOWN])
        more = f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
        sentences.append(
            printable(
                f"{len(missing)} of {len(saved.tensors)} stored variables do not come back "
                f"({shown}{more})",
                600,
            )
        )
    return sentences


def _same_class(first: Optimizer, second: Optimizer) -> bool:
    return bool({_plain(n) for n in first.names} & {_plain(n) for n in second.names})


def lost(saved: Optimizer, back: Optimizer, *, bundle: bool) -> list[Digest]:
    """Find the stored variables whose values no variable in memory has; see `differences`."""
    present = {(d.dtype, d.shape, d.crc32) for d in back.tensors}
    missing = [
        d
        for d in saved.tensors
        if (d.dtype, tuple(d.shape), d.crc32) not in present
        and not _counted(d, back.counts)
        and not _configured(d, saved.config)
    ]
    counts = [d for d in missing if _COUNTERS & set(d.name.split("/"))]
    others = [d for d in missing if d not in counts and not _is_placeholder(d)]
    return [*counts, *(d for d in others if d.shape or not bundle)]


def _is_placeholder(digest: Digest) -> bool:
    """Whether a variable holds nothing: Keras 2's Adam stores a zero for each absent `vhat`."""
    size = item_size(digest.dtype) or 0
    count = math.prod(digest.shape)
    return count <= 1 and digest.crc32 == zlib.crc32(bytes(size * count))


def _counted(stored: Digest, counts: Iterable[int]) -> bool:
    """Whether a stored whole number is one of these, whatever type it is kept in."""
    if stored.shape or stored.dtype not in _WHOLE:
        return False
    bounds = np.iinfo(stored.dtype)
    return any(
        golden.digest_of("", np.array(count, stored.dtype)).crc32 == stored.crc32
        for count in counts
        if bounds.min <= count <= bounds.max
    )


def _configured(stored: Digest, config: Mapping[str, Any]) -> bool:
    """Whether a stored number is a hyperparameter of the configuration, which is compared itself.

    Keras keeps a learning rate in the type of its weights, and makes it a float32 again.
    """
    if stored.shape or stored.dtype not in _FRACTIONS:
        return False
    numbers = [value for value in config.values() if isinstance(value, float)]
    return any(
        golden.digest_of("", np.array(value, stored.dtype)).crc32 == stored.crc32
        for value in numbers
    )


def _plain(name: str) -> str:
    return name.replace("_", "").lower()


def _unequal(saved: Any, back: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Yield what differs between two configurations, as far as both have it."""
    for key in saved:
        if key not in back or key in _NOT_COMPARED:
            continue
        before, now, where = saved[key], back[key], f"{path}{key}"
        if isinstance(before, dict) and isinstance(now, dict):
            yield from _unequal(before, now, f"{where}.")
        elif not _equal(before, now):
            yield where, before, now


def _equal(before: Any, now: Any) -> bool:
    """Whether two hyperparameters are the same; what cannot be compared counts as the same."""
    first, second = _number(before), _number(now)
    if first is not None and second is not None:
        return math.isclose(first, second, rel_tol=_RELATIVE) or (
            math.isnan(first) and math.isnan(second)
        )
    if isinstance(before, (list, tuple)) and isinstance(now, (list, tuple)):
        return len(before) == len(now) and all(_equal(a, b) for a, b in zip(before, now))
    if isinstance(before, str) and isinstance(now, str):
        return _plain(before.rpartition(">")[2]) == _plain(now.rpartition(">")[2])
    simple = (str, dict, type(None))
    known = all(isinstance(v, simple) or _number(v) is not None for v in (before, now))
    return not known or (before is None and now is None)


def _number(value: Any) -> float | None:
    if isinstance(value, (bool, int, float)):
        try:
            return float(value)
        except OverflowError:  # JSON knows integers of any length
            return -math.inf if value < 0 else math.inf
    if isinstance(value, (np.generic, np.ndarray)) and np.ndim(value) == 0:
        return float(value) if np.asarray(value).dtype.kind in "biuf" else None
    return None


def _format_value(value: Any) -> str:
    if isinstance(value, dict):
        return str(value.get("class_name", "a schedule"))
    number = _number(value)
    return f"{number:.6g}" if number is not None and not isinstance(value, bool) else str(value)
