"""Which nodes of a SavedModel's graph are run, and by whom.

A node of the graph is run when a signature or an op of the loading needs it; all nodes of a
function are run when a node that is run names the function. TensorFlow may prune nodes without an
effect: here they count all the same.
"""

from __future__ import annotations

import enum
from collections import deque
from typing import TYPE_CHECKING

from checkpointd.verify.scan.safety.graph_sources import Origins
from checkpointd.verify.scan.safety.graph_walk import MAIN, Walk, base, tensor

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from checkpointd.verify.scan.saved_model.meta_graph import MetaGraph
    from checkpointd.verify.scan.saved_model.nodes import Node

    Key = tuple[str, str]
    """A node of the main graph, or a function and an empty name."""

_MAKE_READY = frozenset({"Iterator", "IteratorV2", "MakeIterator"})
_MOST_SIGNATURES = 200
"""With more signatures, which of them runs a node and what they are given is not computed."""

_MAX_NAMED = 7


class Reached(enum.Enum):
    """Who runs a node: the first of these that does.

    Loading, a signature, a caller of a function of the objects, restoring, the rest of the saver,
    nothing.
    """

    LOADED = "loaded"
    SIGNED = "signed"
    CALLABLE = "callable"
    RESTORE = "restore"
    SAVER = "saver"
    NEVER = "never"

    @property
    def live(self) -> bool:
        """Whether loading or using the model runs it."""
        return self in (Reached.LOADED, Reached.SIGNED, Reached.CALLABLE)


class Flow(Walk):
    """One graph, and what of it is run."""

    def __init__(self, graph: MetaGraph) -> None:
        super().__init__(graph)
        self.origins = Origins(self)
        self._called: dict[Key, object] | None = None
        self._by = {
            label.partition(" ")[2]: self._reachable(
                [(label, (MAIN, base(n))) for n in names if tensor(n) not in self._fed(label)],
                fed=self._fed(label),
            )
            for label, names in graph.signatures.items()
            if len(graph.signatures) <= _MOST_SIGNATURES
        }
        self._eager: dict[Key, object] | None = None
        self._iterates: bool | None = None
        self._seen: dict[Reached, dict[Key, object]] = {
            Reached.LOADED: self._reachable(self._loading()),
            Reached.SIGNED: self._signed(),
            Reached.CALLABLE: self._reachable(self._callable()),
            Reached.RESTORE: self._reachable([("the restoring", (MAIN, base(graph.restore)))]),
            Reached.SAVER: self._reachable(self._saving()),
        }

    def reached(self, scope: str, node: Node) -> Reached:
        """Return who runs a node."""
        key = _key(scope, node)
        return next((by for by, seen in self._seen.items() if key in seen), Reached.NEVER)

    def left_behind(self, scope: str, node: Node) -> bool:
        """Whether a node of a graph of TensorFlow 1 is left from training, and nothing runs it.

        A node in a function counts too if nodes call it that are not run, as those of a data set
        do.
        """
        if self.reached(scope, node) is not Reached.NEVER:
            return False
        if scope == MAIN or self.graph.objects.functions:
            return scope == MAIN
        if self._called is None:
            self._called = self._reachable(("the graph", (MAIN, name)) for name in self.main)
        return (scope, "") in self._called

    def in_signature(self, scope: str, node: Node) -> bool:
        """Whether a signature runs a node: what loading feeds is not fed to signatures."""
        return _key(scope, node) in self._seen[Reached.SIGNED]

    def signatures_of(self, scope: str, node: Node) -> list[str]:
        """The names of the signatures that run a node."""
        return sorted(name for name, seen in self._by.items() if _key(scope, node) in seen)

    def fed_to(self, scope: str, node: Node) -> frozenset[str]:
        """Return the tensors that every run of a node is given: what makes them is not run."""
        names = self.signatures_of(scope, node)
        if not names or self.reached(scope, node) is not Reached.SIGNED:
            return frozenset()
        return frozenset.intersection(*(self._fed(f"signature {name}") for name in names))

    def unread(self, scope: str, node: Node) -> bool:
        """Whether a node is of a data set that loading prepares and that nothing reads."""
        key = _key(scope, node)
        if key not in self._seen[Reached.LOADED] or self._reads_data_sets():
            return False
        if self._eager is None:
            self._eager = self._reachable(self._loading(), lazy=True)
        used = (self._eager, self._seen[Reached.SIGNED], self._seen[Reached.CALLABLE])
        return not any(key in seen for seen in used)

    def path(self, scope: str, node: Node) -> str:
        """Describe how a node is reached: from what runs it, through functions, to the node."""
        key: object = _key(scope, node)
        by = self.reached(scope, node)
        seen = (
            self._seen[Reached.SAVER if by is Reached.RESTORE else by] if by in self._seen else {}
        )
        steps = [f"node {node.name} ({node.op})"]
        while isinstance(key, tuple):
            if key[0] != MAIN:
                steps.append(f"function {key[0]}")
            key = seen.get(key, "nothing that is run")
        steps.append(str(key))
        if len(steps) > _MAX_NAMED:
            steps[3:-3] = ["…"]
        return " → ".join(reversed(steps))

    def _loading(self) -> Iterator[tuple[str, Key]]:
        """Yield what loading runs, each with a label."""
        graph = self.graph
        yield from _nodes(graph.initial)
        if not any(base(n) in self.main for names in graph.initial.values() for n in names):
            yield from _nodes(graph.otherwise)  # TensorFlow's default
        yield from self._functions(sorted(graph.objects.loading), "the loading of an object")

    def _signed(self) -> dict[Key, object]:
        chosen = (f.name for f in self.graph.functions.values() if f.stands_in)
        roots = [*self._functions(chosen, "the choice among implementations")]
        if not self._by:
            roots += _nodes(self.graph.signatures)
        seen = self._reachable(roots)
        for one in reversed(self._by.values()):
            seen.update(one)
        return seen

    def _fed(self, label: str) -> frozenset[str]:
        return frozenset(map(tensor, self.graph.fed.get(label, ())))

    def _reads_data_sets(self) -> bool:
        """Whether any node that is run takes an element from an iterator."""
        if self._iterates is None:
            self._iterates = any(
                "Iterator" in node.op
                and node.op not in _MAKE_READY
                and self.reached(scope, node) is not Reached.NEVER
                for scope, node in self.nodes()
            )
        return self._iterates

    def _callable(self) -> Iterator[tuple[str, Key]]:
        objects = self.graph.objects
        held = dict.fromkeys([*objects.functions, *sorted(objects.named)])
        yield from self._functions(
            (n for n in held if n not in objects.saving), "the saved objects"
        )
        yield from self._functions(sorted(self.graph.backward), "the gradient of an op")

    def _saving(self) -> Iterator[tuple[str, Key]]:
        for name in self.graph.saver:
            yield "the saver", (MAIN, base(name))
        yield from self._functions(sorted(self.graph.objects.saving), "the saving of an object")

    def _functions(self, names: Iterable[str], label: str) -> Iterator[tuple[str, Key]]:
        yield from ((label, (name, "")) for name in names if name in self.graph.functions)

    def _reachable(
        self,
        roots: Iterable[tuple[str, Key]],
        *,
        fed: Collection[str] = (),
        lazy: bool = False,
    ) -> dict[Key, object]:
        """Find all that some roots need.

        Returns:
            For each node or function the one that needs it; for a root its label.

        Args:
            roots: each with a label.
            fed: tensors that are given, so that the nodes before them are not run.
            lazy: leave out the data sets that iterators are prepared for.
        """
        seen: dict[Key, object] = {}
        left: deque[Key] = deque()
        for label, key in roots:
            if key not in seen:
                seen[key] = label
                left.append(key)
        while left:
            key = left.popleft()
            scope, name = key
            if scope == MAIN:
                node = self.main.get(name)
                nodes: tuple[Node, ...] = (node,) if node is not None else ()
            else:
                nodes = self.graph.functions[scope].nodes
            for node in nodes:
                needed = [(function, "") for function in self.runs(node)]
                if scope == MAIN:
                    inputs = node.inputs[1:] if lazy and node.op == "MakeIterator" else node.inputs
                    needed += [
                        (MAIN, base(i)) for i in inputs if i[:1] == "^" or tensor(i) not in fed
                    ]
                for other in needed:
                    if other not in seen:
                        seen[other] = key
                        left.append(other)
        return seen


def _key(scope: str, node: Node) -> Key:
    return (scope, node.name if scope == MAIN else "")


def _nodes(named: dict[str, list[str]]) -> Iterator[tuple[str, Key]]:
    """Yield nodes, each with the label of what runs it."""
    for label, names in named.items():
        yield from ((label, (MAIN, base(name))) for name in names)
