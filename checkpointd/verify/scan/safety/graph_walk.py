"""Access to the nodes and functions of a graph by name, and which functions a node runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from checkpointd.verify.scan.saved_model.meta_graph import MetaGraph
    from checkpointd.verify.scan.saved_model.nodes import Node

MAIN = ""
"""The scope of the nodes that are in no function."""


class Walk:
    """One graph."""

    def __init__(self, graph: MetaGraph) -> None:
        self.graph = graph
        self.main = {node.name: node for node in graph.nodes}
        self._scopes: dict[str, dict[str, Node]] = {MAIN: self.main}

    def nodes(self) -> Iterator[tuple[str, Node]]:
        """Yield every node, with the function that it is in."""
        for node in self.graph.nodes:
            yield MAIN, node
        for function in self.graph.functions.values():
            for node in function.nodes:
                yield function.name, node

    def node(self, scope: str, name: str) -> Node | None:
        """Return the node that an input names; None for an argument, or if there is none."""
        if scope not in self._scopes:
            self._scopes[scope] = {n.name: n for n in self.graph.functions[scope].nodes}
        return self._scopes[scope].get(base(name))

    def called(self, node: Node) -> Iterator[str]:
        """Yield the functions of the library that a node names."""
        if node.op in self.graph.functions:
            yield node.op
        for name in node.called:
            if name in self.graph.functions:
                yield name

    def runs(self, node: Node) -> Iterator[str]:
        """Yield the functions that a node may run: those that it names, and their gradients.

        Some ops, as those of TensorRT, have the name in a string.
        """
        for name in (*self.called(node), *self.in_texts(node)):
            yield name
            if self.graph.gradients.get(name) in self.graph.functions:
                yield self.graph.gradients[name]

    def in_texts(self, node: Node) -> Iterator[str]:
        """Yield the functions that the strings in a node name."""
        for texts in node.texts.values():
            yield from (text for text in texts if text in self.graph.functions)


def base(name: str) -> str:
    """Return the node in the name of a tensor or of a control input."""
    return name.lstrip("^").partition(":")[0]


def tensor(name: str) -> str:
    """Normalise the name of a tensor to node and number: `x` to `x:0`, `f:out:1` to `f:1`."""
    port = name.rpartition(":")[2]
    return f"{base(name)}:{int(port) if port.isdecimal() and ':' in name else 0}"


def data_of(node: Node) -> list[str]:
    """Return the inputs of a node that are tensors."""
    return [name for name in node.inputs if not name.startswith("^")]
