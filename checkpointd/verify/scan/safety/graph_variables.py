"""Variables of a graph that hold a path: what is assigned to them, by any of their handles."""

from __future__ import annotations

from typing import TYPE_CHECKING

from checkpointd.verify.scan.safety.graph_walk import base

if TYPE_CHECKING:
    from collections.abc import Iterator

    from checkpointd.verify.scan.safety.graph_walk import Walk
    from checkpointd.verify.scan.saved_model.nodes import Node

PLACEHOLDERS = frozenset({"Placeholder", "PlaceholderV2", "PlaceholderWithDefault"})
ASSIGNMENTS = frozenset({"Assign", "AssignVariableOp"})
ALIASES = frozenset({"Assign", "Identity", "RefIdentity"})
"""Ops whose result is the variable that they are given."""

_HANDLE = "VarHandleOp"
_VARIABLES = frozenset({_HANDLE, "Variable", "VariableV2"})
_NO_NAME = "cd2c89b7-88b7-44c8-ad83-06c2a9158347"
"""The shared name of a variable that shares none (TensorFlow's `ResourceHandle`)."""

_NO_OTHER_VALUE = ALIASES | ASSIGNMENTS | {"ReadVariableOp", "VarIsInitializedOp", "VariableShape"}
"""Ops on a variable's handle after which it holds nothing but what is assigned in the graph."""


class Variables:
    """What is assigned to the variables of the main graph.

    `assigned` maps a variable to the tensors that are assigned to it; other ops may assign
    anything to those in `escaped`.
    """

    def __init__(self, walk: Walk) -> None:
        self._main = walk.main
        self._ends: dict[str, Node | None] = {}
        self.assigned: dict[str, list[str]] = {}
        self.escaped: set[str] = set()
        for node in walk.graph.nodes:
            if node.op in ASSIGNMENTS and len(node.inputs) > 1:
                variable = self.name(base(node.inputs[0]))
                self.assigned.setdefault(variable, []).append(node.inputs[1])
            if node.op not in _NO_OTHER_VALUE:
                self.escaped.update(self._escaping(node))

    def name(self, where: str) -> str:
        """Return the variable that a node refers to: several nodes may share one by its name."""
        node = self._resolved(where)
        if node is None or node.op not in _VARIABLES:
            return where
        shared = node.texts.get("shared_name", ("",))[0]
        if shared == _NO_NAME:
            return node.name
        return f"shared {shared or ('' if node.op == _HANDLE else node.name)}"

    def _escaping(self, node: Node) -> Iterator[str]:
        """Yield the variables to which a node may assign a value that is not known here."""
        for name in node.inputs:
            if not name.startswith("^"):
                given = self._resolved(base(name))
                op = given.op if given is not None else ""
                if op == _HANDLE or (op in _VARIABLES and node.op.startswith("Ref")):
                    yield self.name(base(name))

    def _resolved(self, where: str) -> Node | None:
        """Return the node that an alias of a variable refers to; None if aliases form a cycle."""
        passed: dict[str, None] = {}
        while where not in self._ends and where not in passed:
            passed[where] = None
            node = self._main.get(where)
            if node is None or node.op not in ALIASES or not node.inputs:
                self._ends[where] = node
            else:
                where = base(node.inputs[0])
        self._ends.update(dict.fromkeys(passed, self._ends.get(where)))
        return self._ends[where]
