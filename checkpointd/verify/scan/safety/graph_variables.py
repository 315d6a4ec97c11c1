"""Variables of a graph that keep a path: what is put into them, by whichever of their handles."""

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
"""Ops that give the very variable that they are given."""

_HANDLE = "VarHandleOp"
_VARIABLES = frozenset({_HANDLE, "Variable", "VariableV2"})
_NO_NAME = "cd2c89b7-88b7-44c8-ad83-06c2a9158347"
"""The shared name of a variable that shares none (TensorFlow's `ResourceHandle`)."""

_LEAVE_IT = ALIASES | ASSIGNMENTS | {"ReadVariableOp", "VarIsInitializedOp", "VariableShape"}
"""What may be done with a variable's handle without another value in it than is assigned here."""


class Variables:
    """What the variables of the main graph are assigned.

    `assigned` maps a variable to the tensors that are put into it, `handed_on` holds those that
    something else may fill.
    """

    def __init__(self, walk: Walk) -> None:
        self._main = walk.main
        self._ends: dict[str, Node | None] = {}
        self.assigned: dict[str, list[str]] = {}
        self.handed_on: set[str] = set()
        for node in walk.graph.nodes:
            if node.op in ASSIGNMENTS and len(node.inputs) > 1:
                variable = self.name(base(node.inputs[0]))
                self.assigned.setdefault(variable, []).append(node.inputs[1])
            if node.op not in _LEAVE_IT:
                self.handed_on.update(self._given_away(node))

    def name(self, where: str) -> str:
        """The variable that a node is, or stands for: several may share one by its name."""
        node = self._behind(where)
        if node is None or node.op not in _VARIABLES:
            return where
        shared = node.texts.get("shared_name", ("",))[0]
        if shared == _NO_NAME:
            return node.name
        return f"shared {shared or ('' if node.op == _HANDLE else node.name)}"

    def _given_away(self, node: Node) -> Iterator[str]:
        """The variables that a node may fill in a way that is not seen here."""
        for name in node.inputs:
            if not name.startswith("^"):
                given = self._behind(base(name))
                op = given.op if given is not None else ""
                if op == _HANDLE or (op in _VARIABLES and node.op.startswith("Ref")):
                    yield self.name(base(name))

    def _behind(self, where: str) -> Node | None:
        """What a node stands for, through the aliases of a variable; None in a circle of them."""
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
