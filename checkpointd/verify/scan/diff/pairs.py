"""Which tensor of one checkpoint is which of another, where each format names them in its own way.

`.keras` and `.weights.h5` of Keras 3 number a layer's variables (`dense/vars/0`); `.h5`,
SavedModels and TensorFlow's checkpoints name them (`dense/kernel`). Names come first, then the
layer and the order in which Keras makes its variables, then equal content, then a shape that occurs
once in a layer. What stays is new or gone where the other side has nothing like it, and ambiguous
where it has.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Callable

from checkpointd.tensors.roles import ATTRIBUTES

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable

NAME, KEY, RENUMBERED = "name", "key", "name but for the numbers of layers"
LAYER, CONTENT, SHAPE = "layer and order", "content", "layer and shape"
PLACE = "place in the optimizer"

_NUMBER = re.compile(r"_(\d+)(?=/|$)")
_NUMBERED = re.compile(r"(.*)/vars/(\d+)$")
_OPTIMIZER = re.compile(r"optimizer/(?:vars|_variables)/(\d+)$")
_FIRST = {"_iterations": 0, "_learning_rate": 1}

_ORDERS = (
    ("gamma", "beta", "moving_mean", "moving_variance"),
    ("kernel", "recurrent_kernel", "bias"),
    ("depthwise_kernel", "pointwise_kernel", "bias"),
    ("embeddings",),
    ("mean", "variance", "count"),
)
"""The order in which Keras's layers make their variables."""


@dataclass(frozen=True)
class Tensor:
    """A tensor of one side: its `number` in the plan, and what it is paired by.

    `content` is what only an equal tensor has; None where no checksum covers its values.
    """

    number: int
    name: str
    key: str
    layer: str
    role: str
    dtype: str
    shape: tuple[int, ...]
    content: int | None = None


@dataclass(frozen=True)
class Pair:
    """Two tensors that are one variable, and what shows it."""

    first: Tensor
    second: Tensor
    by: str


@dataclass
class Pairing:
    """All tensors of both sides: paired, only in one, or ambiguous."""

    pairs: list[Pair] = field(default_factory=list)
    gone: list[Tensor] = field(default_factory=list)
    appeared: list[Tensor] = field(default_factory=list)
    unclear: tuple[list[Tensor], list[Tensor]] = field(default_factory=lambda: ([], []))


def pair(first: Iterable[Tensor], second: Iterable[Tensor]) -> Pairing:
    """Pair the tensors of two checkpoints, those of each role among themselves."""
    pairing = Pairing()
    sides: tuple[dict[str, list[Tensor]], dict[str, list[Tensor]]] = (
        defaultdict(list),
        defaultdict(list),
    )
    for side, tensors in zip(sides, (first, second)):
        for tensor in tensors:
            side[tensor.role].append(tensor)
    for role in dict.fromkeys((*sides[0], *sides[1])):
        _pair_role(pairing, sides[0][role], sides[1][role])
    pairing.pairs.sort(key=lambda one: one.first.number)
    return pairing


def _pair_role(pairing: Pairing, ones: list[Tensor], others: list[Tensor]) -> None:
    same_scheme = _scheme(ones) == _scheme(others)
    rest = _Rest(pairing, ones, others)
    if same_scheme or not (ones and others):
        if _equal_sets(ones, others, _name):
            rest.by(NAME, _name)
        elif _equal_sets(ones, others, _key):
            rest.by(KEY, _key)
        elif _equal_sets(ones, others, _unnumbered_kind):
            rest.in_order(RENUMBERED, _unnumbered_kind, _numbers)
        rest.by(NAME, lambda t: (t.name, t.content) if t.content is not None else None)
        rest.by(NAME, _name)
        rest.by(KEY, _key)
    else:
        rest.by(NAME, _name)
        rest.by_layer()
    rest.by(
        CONTENT,
        lambda t: (t.dtype, t.shape, t.content) if t.content is not None else None,
        several=True,
    )
    if not same_scheme:
        rest.by(PLACE, _place, all_or_none=True)
    rest.finish(same_scheme=same_scheme)


def _scheme(tensors: list[Tensor]) -> bool:
    """Whether variables are numbered rather than named."""
    numbered = sum(bool(_NUMBERED.match(t.key)) for t in tensors)
    return 2 * numbered > len(tensors)


def _equal_sets(ones: list[Tensor], others: list[Tensor], of: Callable[[Tensor], Hashable]) -> bool:
    return sorted(map(repr, map(of, ones))) == sorted(map(repr, map(of, others)))


def _name(tensor: Tensor) -> Hashable:
    return tensor.name


def _key(tensor: Tensor) -> Hashable:
    return tensor.key


def _unnumbered_kind(tensor: Tensor) -> Hashable:
    return _NUMBER.sub("", tensor.name), tensor.shape


def _numbers(tensor: Tensor) -> tuple[int, ...]:
    return tuple(int(n) for n in _NUMBER.findall(tensor.name))


def _place(tensor: Tensor) -> Hashable | None:
    """The place of a variable in a Keras 3 optimizer: `optimizer/vars/2` is `_variables/2`."""
    path = tensor.key.split(ATTRIBUTES, 1)[0]
    match = _OPTIMIZER.search(path)
    place = int(match[1]) if match else _FIRST.get(path.rpartition("/")[2])
    return None if place is None else (place, tensor.shape)


class _Rest:
    """The tensors of one role that are not yet paired."""

    def __init__(self, found: Pairing, ones: list[Tensor], others: list[Tensor]) -> None:
        self._found, self._ones, self._others = found, ones, others

    def by(
        self,
        why: str,
        of: Callable[[Tensor], Hashable | None],
        *,
        several: bool = False,
        all_or_none: bool = False,
    ) -> None:
        """Pair what has the same value of `of`, once on each side or `several` as often on both."""
        ones, others = _grouped(self._ones, of), _grouped(self._others, of)
        pairs = []
        for value, group in ones.items():
            matching = others.get(value, [])
            if len(group) == len(matching) and (several or len(group) == 1):
                pairs += [Pair(a, b, why) for a, b in zip(group, matching)]
        if not all_or_none or len(self._ones) == len(self._others) == len(pairs):
            self._take(pairs)

    def in_order(
        self,
        why: str,
        of: Callable[[Tensor], Hashable],
        order: Callable[[Tensor], tuple[int, ...]],
    ) -> None:
        """Pair within each group of `of` the first with the first, and so on."""
        ones, others = _grouped(self._ones, of), _grouped(self._others, of)
        self._take(
            [
                Pair(a, b, why)
                for value, group in ones.items()
                for a, b in zip(sorted(group, key=order), sorted(others[value], key=order))
            ]
        )

    def by_layer(self) -> None:
        """Pair numbered variables with named ones of the layer of the same name."""
        ones, others = _grouped(self._ones, _layer), _grouped(self._others, _layer)
        pairs: list[Pair] = []
        for layer, group in ones.items():
            pairs += _within_layer(group, others.get(layer, []))
        self._take(pairs)

    def _take(self, pairs: list[Pair]) -> None:
        self._found.pairs += pairs
        taken = {p.first.number for p in pairs}, {p.second.number for p in pairs}
        self._ones = [t for t in self._ones if t.number not in taken[0]]
        self._others = [t for t in self._others if t.number not in taken[1]]

    def finish(self, *, same_scheme: bool) -> None:
        """File what is left: new, gone, or ambiguous where names mean nothing to the other side."""
        shapes = {t.shape for t in self._ones} & {t.shape for t in self._others}
        if same_scheme:
            shapes = set()
        unclear = self._found.unclear
        for tensor in self._ones:
            (unclear[0] if tensor.shape in shapes else self._found.gone).append(tensor)
        for tensor in self._others:
            (unclear[1] if tensor.shape in shapes else self._found.appeared).append(tensor)


def _grouped(
    tensors: list[Tensor], of: Callable[[Tensor], Hashable | None]
) -> dict[Hashable, list[Tensor]]:
    groups: dict[Hashable, list[Tensor]] = {}
    for tensor in tensors:
        value = of(tensor)
        if value is not None:
            groups.setdefault(value, []).append(tensor)
    return groups


def _layer(tensor: Tensor) -> Hashable | None:
    """The names of the layers that hold a variable, whichever way it is called itself."""
    if _NUMBERED.match(tensor.key):
        return tensor.layer or None
    return tensor.name.rpartition("/")[0] or None


def _within_layer(group: list[Tensor], matching: list[Tensor]) -> list[Pair]:
    """Pair the variables of one layer, by Keras's order if it is known, else by shape."""
    if len(group) != len(matching):
        return []
    ordered = _in_keras_order(group), _in_keras_order(matching)
    if ordered[0] and ordered[1]:
        pairs = [Pair(a, b, LAYER) for a, b in zip(*ordered)]
        if all(p.first.shape == p.second.shape for p in pairs):
            return pairs
    shapes = {t.shape for t in group}
    if len(shapes) == len(group) and shapes == {t.shape for t in matching}:
        by_shape = {t.shape: t for t in matching}
        return [Pair(t, by_shape[t.shape], SHAPE) for t in group]
    return []


def _in_keras_order(group: list[Tensor]) -> list[Tensor]:
    """A layer's variables in the order in which Keras makes them; empty where it is not known."""
    numbered = [_NUMBERED.match(t.key) for t in group]
    if all(numbered):
        places = {int(m[2]): t for m, t in zip(numbered, group) if m}
        return [places[i] for i in sorted(places)] if len(places) == len(group) else []
    leaves = {t.name.rpartition("/")[2]: t for t in group}
    for order in _ORDERS:
        if len(leaves) == len(group) and set(leaves) <= set(order):
            return [leaves[name] for name in order if name in leaves]
    return []
