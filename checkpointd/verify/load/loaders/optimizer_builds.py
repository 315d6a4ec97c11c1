"""Which variables an optimizer trains: it is restored only once it has been built for them.

| known from | where |
| --- | --- |
| `_trainable_variables` and slots in the graph of stored objects | Keras 3, Keras 2's old ones |
| the shapes of the optimizer's stored variables, in order | tf-keras's new ones, HDF5 |
| nothing (no slots, factored ones) | the model is taken |
"""

from __future__ import annotations

import contextlib
import itertools
from typing import TYPE_CHECKING, Any

from checkpointd.golden import model_runner

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from checkpointd.core.report import Digest

    Shape = tuple[int, ...]

_MOST_MODELS = 4


def build(optimizer: Any, variables: Sequence[Any]) -> None:
    """Make an optimizer's variables, so that there is something to restore into.

    Raises:
        Exception: whatever the library raises.
    """
    if getattr(optimizer, "built", False) or not variables:
        return
    if hasattr(optimizer, "build"):
        optimizer.build(list(variables))
    else:
        optimizer._create_all_weights(list(variables))  # noqa: SLF001 - Keras 2 has no public way


def from_objects(
    models: Mapping[str, Any], restored: Mapping[int, Any], linked: Sequence[int]
) -> list[Any]:
    """Find the variables that an optimizer trains by the graph of stored objects.

    Args:
        models: by name.
        restored: what was restored, by the number that it has in that graph.
        linked: numbers of the variables.

    Returns:
        Nothing unless each of them is known.
    """
    known = {id(_raw(v)): v for model in models.values() for v in trained(model)}
    variables = [restored.get(number) for number in linked]
    if any(one is None for one in variables):
        return []
    return [known.get(id(one), one) for one in variables]


def from_shapes(models: Mapping[str, Any], slots: Sequence[Shape], hint: str = "") -> list[Any]:
    """Find the variables whose shapes are those of an optimizer's slots, as often as it keeps any.

    Args:
        models: by name, in order.
        slots: shapes of what the optimizer stores, in order, scalars left out.
        hint: the optimizer's name, which decides between models of one shape.

    Returns:
        Nothing where no model fits.
    """
    if not slots:
        return []
    names = list(models)[:_MOST_MODELS]
    names.sort(key=lambda name: -_alike(name, hint))
    orders = (o for n in range(1, len(names) + 1) for o in itertools.permutations(names, n))
    for order in orders:
        variables = [v for name in order for v in trained(models[name])]
        if fits([tuple(v.shape) for v in variables], slots):
            return variables
    return []


def fits(shapes: Iterable[Shape], slots: Sequence[Shape]) -> bool:
    """Whether slots are those of variables: each one's in a row, or all of them repeatedly."""
    once = [shape for shape in shapes if shape]
    times, rest = divmod(len(slots), len(once)) if once else (0, 1)
    if rest or not times:
        return False
    in_a_row = [shape for shape in once for _ in range(times)]
    return list(slots) in (in_a_row, once * times)


def stored_slots(stored: Iterable[Digest], optimizer: str) -> list[Shape]:
    """Return the shapes of an optimizer's variables in an HDF5 file, in order, without scalars."""
    mine = [(d.name, tuple(d.shape)) for d in stored if d.name.startswith(f"{optimizer}/vars/")]
    numbered = [(int(n), s) for n, s in ((n.rpartition("/")[2], s) for n, s in mine) if n.isdigit()]
    return [shape for _, shape in sorted(numbered) if shape]


def parts_of(model: Any) -> dict[str, Any]:
    """A model and the models and layers that are its attributes, by name, itself first."""
    attributes = getattr(model, "__dict__", {}).items()
    parts = {n: v for n, v in attributes if n[:1] != "_" and callable(v) and trained(v)}
    return {"": model, **parts}


def trained(model: Any) -> list[Any]:
    """The variables of a model that are trained; none of one that was not built."""
    return model_runner.variables_of(model, "trainable_variables")


def build_quietly(optimizer: Any, variables: Sequence[Any]) -> None:
    """Build an optimizer; where that fails, `resume` will find that nothing came back."""
    with contextlib.suppress(Exception):
        build(optimizer, variables)


def _raw(variable: Any) -> Any:
    """The TensorFlow variable within one of Keras 3, which is what a checkpoint restores."""
    return getattr(variable, "_value", variable)


def _alike(one: str, other: str) -> int:
    return max((n for n in range(len(one) + 1) if one[:n] and one[:n] in other), default=0)


def optimizers_in(value: Any, is_optimizer: Any) -> Iterator[tuple[str, Any]]:
    """Yield the optimizers that are attributes of a model, by name."""
    for name, held in getattr(value, "__dict__", {}).items():
        if is_optimizer(held):
            yield name, held
