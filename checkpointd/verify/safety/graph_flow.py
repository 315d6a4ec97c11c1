"""What of a SavedModel's graph is run, by whom, and where a string in it comes from.

A node of the graph is run when a signature or an op of its loading asks for what rests on it; all
nodes of a function are run when a node that is run names it. TensorFlow may leave out some of
those that have no effect: here they count all the same.
"""

from __future__ import annotations

import enum
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from checkpointd.verify.safety.graph_model import MetaGraph
    from checkpointd.verify.safety.graph_nodes import Node

MAIN = ""
"""The scope of the nodes that are in no function."""

_DIRECT_CALLS = frozenset({"PartitionedCall", "StatefulPartitionedCall"})
_PLACEHOLDERS = frozenset({"Placeholder", "PlaceholderV2", "PlaceholderWithDefault"})
_ASSIGNMENTS = frozenset({"Assign", "AssignVariableOp"})
_HANDLE = "VarHandleOp"
_VARIABLES = frozenset({_HANDLE, "Variable", "VariableV2"})
_NO_NAME = "cd2c89b7-88b7-44c8-ad83-06c2a9158347"
"""The shared name of a variable that shares none (TensorFlow's `ResourceHandle`)."""
_ALIASES = frozenset({"Assign", "Identity", "RefIdentity"})
"""Ops that give the very variable that they are given."""

_LEAVE_IT = _ALIASES | _ASSIGNMENTS | {"ReadVariableOp", "VarIsInitializedOp", "VariableShape"}
"""What may be done with a variable's handle without another value in it than is assigned here."""

_PASS_ON = _PLACEHOLDERS | frozenset(
    {"ConcatV2", "Const", "ExpandDims", "Identity", "IdentityN", "OptionsDataset", "Pack"}
    | {"PrefetchDataset", "ReadVariableOp", "RepeatDataset", "Reshape", "ShuffleDatasetV3"}
    | {"Squeeze", "TensorDataset", "TensorSliceDataset"}
)
"""Ops that give the strings that they are given; any other may make a string of what it likes."""

_MAX_STEPS = 2_000_000
"""How many tensors are looked at on the way to where strings come from, in one graph."""
_MAX_NAMED = 7


class Reached(enum.Enum):
    """Who runs a node: a signature or initializer, the restoring, the rest of the saver, nobody."""

    LIVE = "live"
    RESTORE = "restore"
    SAVER = "saver"
    NEVER = "never"


@dataclass
class Sources:
    """Where a string may come from.

    `constants` are those in the graph, `assets` files that the SavedModel holds, `filename` the
    path that the saver is given, `given` what a caller hands over, `computed` anything else.
    `fixed` tells of an asset that is a constant in the graph: TensorFlow 1 feeds the path of the
    asset in its place while it loads, and not when a signature is run.
    """

    constants: set[bytes] = field(default_factory=set)
    assets: bool = False
    fixed: bool = False
    filename: bool = False
    given: bool = False
    computed: bool = False


class Flow:
    """One graph, and what is run of it."""

    def __init__(self, graph: MetaGraph) -> None:
        self.graph = graph
        self._main = {node.name: node for node in graph.nodes}
        self._scopes: dict[str, dict[str, Node]] = {MAIN: self._main}
        self._left = _MAX_STEPS
        self._sites: dict[str, list[tuple[str, Node]]] | None = None
        self._assets = {base(tensor) for tensor, _ in graph.assets}
        self._ends: dict[str, Node | None] = {}
        self._assigned: dict[str, list[str]] = {}
        self._handed_on: set[str] = set()
        for node in graph.nodes:
            if node.op in _ASSIGNMENTS and len(node.inputs) > 1:
                variable = self._variable(base(node.inputs[0]))
                self._assigned.setdefault(variable, []).append(node.inputs[1])
            if node.op not in _LEAVE_IT:
                self._handed_on.update(self._given_away(node))
        self._live: dict[tuple[str, str], object] = {}
        self._saver: dict[tuple[str, str], object] = {}
        for roots in self._roots():
            self._spread(roots, self._live)
        self._spread(self._saving(), self._saver)
        self._restored: dict[tuple[str, str], object] = {}
        self._spread([("the restoring", (MAIN, base(graph.restore)))], self._restored)
        self._called: dict[tuple[str, str], object] | None = None
        self._signed: dict[tuple[str, str], object] = {}
        self._spread(list(self._roots())[1], self._signed)

    def nodes(self) -> Iterator[tuple[str, Node]]:
        """Every node, with the function that it is in."""
        for node in self.graph.nodes:
            yield MAIN, node
        for function in self.graph.functions.values():
            for node in function.nodes:
                yield function.name, node

    def reached(self, scope: str, node: Node) -> Reached:
        """Say who runs a node."""
        key = (scope, node.name if scope == MAIN else "")
        if key in self._live:
            return Reached.LIVE
        if key in self._restored:
            return Reached.RESTORE
        return Reached.SAVER if key in self._saver else Reached.NEVER

    def left_behind(self, scope: str, node: Node) -> bool:
        """Whether a node lies in a graph of TensorFlow 1 beside all that is run.

        One in a function too, if nodes of the graph call it that are not run themselves: so does
        a data set. A function that nobody calls may be called in a way that is not known here.
        """
        if self.reached(scope, node) is not Reached.NEVER:
            return False
        if scope == MAIN or self.graph.objects.functions:
            return scope == MAIN
        if self._called is None:
            self._called = {}
            self._spread([("the graph", (MAIN, name)) for name in self._main], self._called)
        return (scope, "") in self._called

    def in_signature(self, scope: str, node: Node) -> bool:
        """Whether a signature runs a node: what is fed at loading is not fed there."""
        return (scope, node.name if scope == MAIN else "") in self._signed

    def path(self, scope: str, node: Node) -> str:
        """Say how a node is reached: from what runs it, through functions, to the node."""
        key: object = (scope, node.name if scope == MAIN else "")
        seen = self._live if key in self._live else self._saver
        steps = [f"node {node.name} ({node.op})"]
        while isinstance(key, tuple):
            if key[0] != MAIN:
                steps.append(f"function {key[0]}")
            key = seen.get(key, "nothing that is run")
        steps.append(str(key))
        if len(steps) > _MAX_NAMED:
            steps[3:-3] = ["…"]
        return " → ".join(reversed(steps))

    def called(self, node: Node) -> Iterator[str]:
        """The functions of the library that a node names."""
        if node.op in self.graph.functions:
            yield node.op
        for name in node.called:
            if name in self.graph.functions:
                yield name

    def _run(self, node: Node) -> Iterator[str]:
        """The functions that a node may run: those that it names, and their gradients."""
        for name in self.called(node):
            yield name
            if self.graph.gradients.get(name) in self.graph.functions:
                yield self.graph.gradients[name]

    def source(self, scope: str, node: Node, index: int) -> Sources:
        """Say where the string comes from that is a node's input number `index`."""
        found = Sources()
        data = [name for name in node.inputs if not name.startswith("^")]
        if index >= len(data):
            found.computed = True
            return found
        left = [(scope, data[index])]
        seen = set(left)
        while left:
            self._left -= 1
            if self._left < 0:
                found.computed = True
                return found
            for step in self._before(*left.pop(), found):
                if step not in seen:
                    seen.add(step)
                    left.append(step)
        return found

    def node(self, scope: str, name: str) -> Node | None:
        """The node that an input names; None for an argument, or if there is none."""
        if scope not in self._scopes:
            self._scopes[scope] = {n.name: n for n in self.graph.functions[scope].nodes}
        return self._scopes[scope].get(base(name))

    def _given_away(self, node: Node) -> Iterator[str]:
        """The variables that a node may fill in a way that is not seen here."""
        for name in node.inputs:
            if not name.startswith("^"):
                given = self._behind(base(name))
                op = given.op if given is not None else ""
                if op == _HANDLE or (op in _VARIABLES and node.op.startswith("Ref")):
                    yield self._variable(base(name))

    def _behind(self, where: str) -> Node | None:
        """What a node stands for, through the aliases of a variable; None in a circle of them."""
        passed: dict[str, None] = {}
        while where not in self._ends and where not in passed:
            passed[where] = None
            node = self._main.get(where)
            if node is None or node.op not in _ALIASES or not node.inputs:
                self._ends[where] = node
            else:
                where = base(node.inputs[0])
        self._ends.update(dict.fromkeys(passed, self._ends.get(where)))
        return self._ends[where]

    def _variable(self, where: str) -> str:
        """The variable that a node is, or stands for: several may share one by its name."""
        node = self._behind(where)
        if node is None or node.op not in _VARIABLES:
            return where
        shared = node.texts.get("shared_name", ("",))[0]
        if shared == _NO_NAME:
            return node.name
        return f"shared {shared or ('' if node.op == _HANDLE else node.name)}"

    def _before(self, scope: str, name: str, found: Sources) -> Iterable[tuple[str, str]]:
        """Note what a tensor is if it is a source, and give the tensors that it is made of."""
        where = base(name)
        if scope != MAIN and where in self.graph.functions[scope].arguments:
            return self._handed(scope, self.graph.functions[scope].arguments.index(where), found)
        node = self.node(scope, where)
        if node is None:
            found.computed = True
            return ()
        if scope == MAIN and where in self._assets:
            found.assets = True
            found.fixed |= node.op == "Const"
            return ()
        if scope == MAIN and self.graph.filename and where == base(self.graph.filename):
            found.filename = True
            return ()
        found.computed |= node.op == "Const" and node.constant is None  # its caller gives it
        if node.constant is not None and node.constant.dtype == "string":
            strings = node.constant.strings
            found.constants.update((b"",) if strings == () else strings or (b"(long)",))
        if node.op in _PLACEHOLDERS:
            found.given = True
        data = [i for i in node.inputs if not i.startswith("^")]
        variable = self._variable(where) if scope == MAIN and node.op not in _ALIASES else ""
        if variable in self._assigned:  # as one keeps an asset's path
            found.computed |= variable in self._handed_on
            return [(scope, i) for i in self._assigned[variable]]
        if node.op not in _PASS_ON:
            found.computed = True
        return [(scope, i) for i in data]

    def _handed(self, function: str, index: int, found: Sources) -> Iterator[tuple[str, str]]:
        """Where an argument of a function comes from: its callers, and what it captures."""
        objects = self.graph.objects
        captures = objects.functions.get(function, ())
        own = len(self.graph.functions[function].arguments) - len(captures)
        if index >= own:
            captured = captures[index - own]
            if captured in objects.assets:
                found.assets = True
            elif captured in objects.constants:
                yield MAIN, objects.constants[captured]
            else:  # a variable, which has what the checkpoint says
                found.computed = True
        sites = self._callers().get(function, ())
        for scope, node in sites:
            data = [name for name in node.inputs if not name.startswith("^")]
            direct = node.op == function or node.op in _DIRECT_CALLS
            if direct and index < len(data):
                yield scope, data[index]
            else:  # which of them becomes the argument depends on the op: it is one of them
                yield from ((scope, name) for name in data)
                found.given |= not data
        if not sites and index < own:
            found.given = True

    def _callers(self) -> dict[str, list[tuple[str, Node]]]:
        if self._sites is None:
            self._sites = {}
            for scope, node in self.nodes():
                for name in self.called(node):
                    self._sites.setdefault(name, []).append((scope, node))
        return self._sites

    def _roots(self) -> Iterator[list[tuple[str, tuple[str, str]]]]:
        """What is run when it is loaded, then when it is used: in words, with where it begins."""
        for named in (self.graph.initial, self.graph.signatures):
            yield [(label, (MAIN, base(n))) for label, names in named.items() for n in names]
        objects = self.graph.objects
        concrete = (n for n in objects.functions if n in self.graph.functions)
        yield [("the saved objects", (n, "")) for n in concrete if n not in objects.saving]
        chosen = (f.name for f in self.graph.functions.values() if f.stands_in)
        yield [("the choice among implementations", (name, "")) for name in chosen]

    def _saving(self) -> Iterator[tuple[str, tuple[str, str]]]:
        for name in self.graph.saver:
            yield "the saver", (MAIN, base(name))
        for name in self.graph.objects.saving:
            if name in self.graph.functions:
                yield "the saving of an object", (name, "")

    def _spread(
        self, roots: Iterable[tuple[str, tuple[str, str]]], seen: dict[tuple[str, str], object]
    ) -> None:
        """Follow what roots need; `seen` maps a node or a function to what needs it."""
        left: deque[tuple[str, str]] = deque()
        for label, key in roots:
            if key not in seen:
                seen[key] = label
                left.append(key)
        while left:
            key = left.popleft()
            scope, name = key
            if scope == MAIN:
                node = self._main.get(name)
                nodes: tuple[Node, ...] = (node,) if node is not None else ()
            else:
                nodes = self.graph.functions[scope].nodes
            for node in nodes:
                needed = [(function, "") for function in self._run(node)]
                if scope == MAIN:
                    needed += [(MAIN, base(i)) for i in node.inputs]
                for other in needed:
                    if other not in seen:
                        seen[other] = key
                        left.append(other)


def base(name: str) -> str:
    """The node of a tensor's name, or of a control input's."""
    return name.lstrip("^").partition(":")[0]
