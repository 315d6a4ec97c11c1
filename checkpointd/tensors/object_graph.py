"""The graph of objects in a TensorFlow 2 checkpoint: names of variables, and which are trained.

Source: tensorflow/core/protobuf/trackable_object_graph.proto; node 0 is the root.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

from checkpointd.formats import FormatError
from checkpointd.formats.protobuf import fields, message, number, text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_MAX_OBJECTS = 10_000_000
_NODES, _CHILDREN, _ATTRIBUTES, _SLOTS = 1, 1, 2, 3
_STEPS = frozenset({"_iterations", "iter"})
_TRAINED = "_trainable_variables"
_VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"


@dataclass(frozen=True)
class ObjectGraph:
    """What the graph states about the stored variables, by their keys.

    `names` are those that they had in the program; `at_root` hang from the root itself; `trained`
    are those that a stored optimizer trains, as far as it states which. `has_model` means that the
    root holds an object with variables besides optimizers. `keys` are those of all variables: an
    iterator's or a table's name what is stored in parts.
    """

    names: Mapping[str, str] = field(default_factory=dict)
    at_root: frozenset[str] = frozenset()
    trained: frozenset[str] = frozenset()
    has_model: bool = False
    keys: frozenset[str] = frozenset()


@dataclass
class _Node:
    children: dict[str, int] = field(default_factory=dict)
    key: str = ""
    name: str = ""
    keys: list[str] = field(default_factory=list)
    slots: list[tuple[int, int]] = field(default_factory=list)

    @property
    def is_optimizer(self) -> bool:
        """Whether it counts steps, as optimizers do."""
        return bool(_STEPS & self.children.keys())


def parse(data: bytes) -> ObjectGraph:
    """Read a TrackableObjectGraph; what is no such message gives an empty one."""
    try:
        nodes = [_node(message(v)) for n, v in islice(fields(data), _MAX_OBJECTS) if n == _NODES]
    except FormatError:
        return ObjectGraph()  # the pass over the shards reports its checksum
    if not nodes:
        return ObjectGraph()
    root = [nodes[i] for i in nodes[0].children.values() if 0 < i < len(nodes)]
    return ObjectGraph(
        {node.key: node.name for node in nodes if node.key and node.name},
        frozenset(node.key for node in root if node.key),
        frozenset(_trained(nodes)),
        any(_holds_variables(nodes, node) for node in root if not node.is_optimizer),
        frozenset(key for node in nodes for key in node.keys if key.endswith(_VALUE)),
    )


def _node(data: bytes) -> _Node:
    node = _Node()
    for kind, value in fields(data):
        if kind == _CHILDREN:
            child = dict(fields(message(value)))
            node.children[text(message(child.get(2, b"")))] = number(child.get(1, 0))
        elif kind == _ATTRIBUTES:
            names = {n: text(message(v)) for n, v in fields(message(value)) if n in (1, 2, 3)}
            node.key, node.name = names.get(3, node.key), names.get(2, node.name)
            node.keys += [node.key] if node.key else []
        elif kind == _SLOTS:
            slot = dict(fields(message(value)))
            node.slots.append((number(slot.get(1, 0)), number(slot.get(3, 0))))
    return node


def _trained(nodes: list[_Node]) -> Iterator[str]:
    """The keys of what some optimizer has variables for."""
    owned: list[str] = []
    for node in nodes:
        yield from _keys(nodes, (original for original, _ in node.slots))
        if not node.is_optimizer:
            continue
        for name, child in node.children.items():
            if not 0 <= child < len(nodes):
                continue
            inside = nodes[child].children.values()
            if name == _TRAINED:
                yield from _keys(nodes, inside)
            elif name == "_variables":
                owned += [nodes[i].name for i in inside if 0 <= i < len(nodes)]
    # tf-keras marks them by names alone: "Adam/m/dense/kernel"
    trained = {name.split("/", 2)[2] for name in owned if name.count("/") > 1}
    called = Counter(node.name for node in nodes if node.key)
    yield from (n.key for n in nodes if n.key and n.name in trained and called[n.name] == 1)


def _keys(nodes: list[_Node], numbers: Iterable[int]) -> Iterator[str]:
    for i in numbers:
        if 0 <= i < len(nodes) and nodes[i].key:
            yield nodes[i].key


def _holds_variables(nodes: list[_Node], start: _Node) -> bool:
    """Whether an object, not a variable itself, has a variable somewhere below it."""
    if start.key:
        return False
    seen: set[int] = set()
    left = [start]
    while left:
        for child in left.pop().children.values():
            if child in seen or not 0 <= child < len(nodes) or nodes[child].is_optimizer:
                continue
            if nodes[child].key:
                return True
            seen.add(child)
            left.append(nodes[child])
    return False
