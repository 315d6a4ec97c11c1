"""Judges the nodes of a graph whose ops reach outside: by who runs them, and on which path.

- The saver's own ops are ordinary where the path is the one that it is given, and nowhere else.
- What reads a file may read an asset of the SavedModel. One whose path a caller hands over is told
  of and no more: whoever calls it says which file it is.
- A signature that reads or writes checkpoints, or files, on a path that it is given does so for
  its callers. Training on a device is done so; the user allows it by the signature's name.
- A Python function is gone with the process that made it: what needs one runs nowhere else.
- What nothing runs does no harm. Ops that write, connect or execute are told of all the same,
  others where a function holds them that nothing calls and that names a file of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from checkpointd.verify.scan.findings import (
    FOREIGN_REFERENCE,
    GIVEN_PATH,
    NOT_SERVED,
    UNSAFE_OP,
    Finding,
)
from checkpointd.verify.scan.safety import graph_ops
from checkpointd.verify.scan.safety.graph_flow import Reached
from checkpointd.verify.scan.safety.graph_walk import MAIN

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from checkpointd.verify.scan.safety.graph_flow import Flow
    from checkpointd.verify.scan.safety.graph_sources import Sources
    from checkpointd.verify.scan.saved_model.nodes import Node

_READS = graph_ops.READS | graph_ops.TABLES.keys() | graph_ops.CHECKPOINT_READS
_READS_GIVEN = graph_ops.READS | graph_ops.TABLES.keys()
_FOR_CALLERS = (Reached.SIGNED, Reached.CALLABLE)
_MAX_PATH = 200

_ASSET = (
    "Make that file an asset of the model (tf.saved_model.Asset) and export it again; do not load "
    "it if you did not write it."
)
_PYTHON = (
    "It needs Python: it cannot run outside the process that made it. Write that part with "
    "TensorFlow's own ops and export it again."
)
_EXPORT = "Export the model without it; do not load it if you did not write it."
_OWN_HANDS = "Do not load it, and ask where it came from."
_CALLERS = "Whoever calls it says which file that is: let only those do so whom you trust."


class Judge:
    """Judges the nodes of one graph.

    Args:
        flow: the graph, and what is run of it.
        allowed: the signatures that may use files whose paths they are given.
    """

    def __init__(self, flow: Flow, allowed: Collection[str] = ()) -> None:
        self._flow = flow
        self._allowed = frozenset(allowed)
        self._asking: list[str] = []

    def findings(self) -> Iterator[Finding]:
        """What is to be said of every node whose op reaches outside."""
        asked = (self._asks(scope, node) for scope, node in self._watched())
        self._asking = sorted({name for names in asked for name in names})
        for scope, node in self._watched():
            found = self._judged(scope, node)
            if found is not None:
                yield found

    def _watched(self) -> Iterator[tuple[str, Node]]:
        for scope, node in self._flow.nodes():
            if node.op in graph_ops.WATCHED:
                yield scope, node

    def _judged(self, scope: str, node: Node) -> Finding | None:
        """Judge one node; None where it is ordinary."""
        reached = self._flow.reached(scope, node)
        if self._ordinary(scope, node, reached):
            return None
        word, cure = self._word(scope, node), _cure(node.op)
        if reached is Reached.NEVER:
            word, cure = NOT_SERVED, "Neither loading nor a signature runs it: do not run it."
        elif reached is Reached.CALLABLE and node.op in graph_ops.PYTHON:
            word, cure = NOT_SERVED, "No signature needs it, and it runs nowhere else."
        elif reached in _FOR_CALLERS and self._only_given(scope, node):
            if self._is_allowed(scope, node):
                return None
            if reached is Reached.CALLABLE or node.op in _READS_GIVEN:
                word, cure = GIVEN_PATH, _CALLERS
            else:
                word, cure = UNSAFE_OP, _to_allow(self._asking)
        return self._said(word, scope, node, cure)

    def _ordinary(self, scope: str, node: Node, reached: Reached) -> bool:
        """Whether a node is none that anybody has to know of."""
        if node.op in graph_ops.CHECKPOINT_READS | graph_ops.CHECKPOINT_WRITES:
            return self._is_savers(scope, node, reached)
        if self._stays_inside(scope, node):
            return True
        if node.op in graph_ops.LEFT_BEHIND and self._flow.left_behind(scope, node):
            return True
        if node.op in graph_ops.READS | graph_ops.PYTHON and self._flow.unread(scope, node):
            return True
        reads = node.op in graph_ops.PATHS or node.op in graph_ops.PYTHON
        if reached is not Reached.NEVER or not reads or scope == MAIN:
            return False
        return node.op in graph_ops.PYTHON or not self._names_a_file(scope, node)

    def _stays_inside(self, scope: str, node: Node) -> bool:
        """Whether an op's arguments make it one that stays inside."""
        if node.op in graph_ops.ATTRIBUTES:
            name, ordinary = graph_ops.ATTRIBUTES[node.op]
            begun = tuple(one for one in ordinary if one.endswith("://"))
            given = node.texts.get(name, ("",))
            return all(value in ordinary or value.startswith(begun) for value in given)
        if node.op in graph_ops.READS_ASSETS or node.op in graph_ops.TABLES:
            source = self._source(scope, node, graph_ops.PATHS[node.op])
            elsewhere = source.given or source.computed or source.filename or bool(source.constants)
            fixed = source.fixed and self._flow.in_signature(scope, node)
            return source.assets and not elsewhere and not fixed
        if node.op in graph_ops.CACHES:
            source = self._source(scope, node, graph_ops.CACHES[node.op])
            made = source.given or source.computed or source.filename or source.assets
            return not made and not source.constants - {b""}
        if node.op in graph_ops.REMOTE:
            source = self._source(scope, node, graph_ops.REMOTE[node.op])
            here = all(b"/job:" not in c or b"/job:localhost" in c for c in source.constants)
            return here and not source.computed
        return False

    def _is_savers(self, scope: str, node: Node, reached: Reached) -> bool:
        """Whether an op of the saver uses the path that the saver is given, and no other."""
        reads = node.op in graph_ops.CHECKPOINT_READS
        if reached.live or (reached is Reached.RESTORE and not reads):
            return False
        if scope == MAIN and reached is Reached.NEVER:
            return True  # tf.train.init_from_checkpoint leaves such, and so does a second Saver
        for index in (0, 1) if node.op == "MergeV2Checkpoints" else (0,):
            source = self._source(scope, node, index)
            placed = any(_is_place(constant) for constant in source.constants)
            given = source.filename or source.given
            if not given or (reads and (placed or source.computed)):
                return False  # a path to write to is put together, one to read from is not
        return True

    def _source(self, scope: str, node: Node, index: int, *, head: bool = False) -> Sources:
        """Where a node's input comes from, wherever the node is run."""
        fed = self._flow.fed_to(scope, node)
        return self._flow.origins.source(scope, node, index, head=head, fed=fed)

    def _names_a_file(self, scope: str, node: Node) -> bool:
        """Whether an op has a path of its own, and not only one that it is handed."""
        source = self._source(scope, node, graph_ops.PATHS[node.op])
        return bool(source.constants)

    def _only_given(self, scope: str, node: Node) -> bool:
        """Whether every path that an op uses is one that a caller hands over."""
        if node.op not in graph_ops.PATHS:
            return False
        wanted = (0, 1) if node.op == "MergeV2Checkpoints" else (graph_ops.PATHS[node.op],)
        sources = [self._source(scope, node, i, head=True) for i in wanted]
        return all(source.only_given for source in sources)

    def _asks(self, scope: str, node: Node) -> list[str]:
        """The signatures that use files on paths that they are given, and are not allowed to."""
        if node.op not in graph_ops.PATHS or node.op in _READS_GIVEN:
            return []
        names = self._flow.signatures_of(scope, node)
        return names if names and self._only_given(scope, node) else []

    def _is_allowed(self, scope: str, node: Node) -> bool:
        """Whether only signatures run a node that the user allows to use given paths.

        The functions that such signatures were made of lie beside them, under names of their own.
        """
        names = self._flow.signatures_of(scope, node) or self._asking
        return bool(names) and self._allowed.issuperset(names)

    def _word(self, scope: str, node: Node) -> str:
        """The reason for an op that is run."""
        if node.op in graph_ops.TABLES:
            return FOREIGN_REFERENCE
        if node.op in graph_ops.CHECKPOINT_READS:
            constants = self._source(scope, node, 0).constants
            return FOREIGN_REFERENCE if any(map(_is_place, constants)) else UNSAFE_OP
        return UNSAFE_OP

    def _said(self, word: str, scope: str, node: Node, cure: str) -> Finding:
        """Make a finding: what is there, the way to it, and what to do."""
        index = graph_ops.PATHS.get(node.op)
        head = self._only_given(scope, node)
        source = None if index is None else self._source(scope, node, index, head=head)
        file = f" {_file(node, source)}" if source is not None else ""
        what = graph_ops.purpose(node.op)
        constants = sorted(source.constants) if source is not None else []
        named = word == FOREIGN_REFERENCE and node.op in graph_ops.TABLES
        return Finding(
            word,
            (
                "A table in its graph is read from a file that is none of its assets: "
                if node.op in graph_ops.TABLES
                else f"Its graph has an op that {what}: "
            )
            + f"{self._flow.path(scope, node)}{file}. {cure}",
            where=node.name,
            what=_text(constants[0]) if named and constants else node.op,
        )


def _file(node: Node, source: Sources) -> str:
    """Say which file an op uses, as the end of a sentence that names the op."""
    does = "reads" if node.op in _READS else "writes to"
    if source.constants - {b""}:
        chosen = min(source.constants - {b""}, key=lambda c: (not _is_place(c), c))
        return f"{does} {_text(chosen)!r}, a constant in the graph"
    if source.filename:
        return f"{does} a path that is made of the saver's"
    if source.computed or not source.given:
        return f"{does} a path that is computed in the graph"
    return f"{does} the path that it is given"


def _text(constant: bytes) -> str:
    return constant[:_MAX_PATH].decode("utf-8", "backslashreplace")


def _to_allow(names: list[str]) -> str:
    listed = ", ".join(f'"{name}"' for name in names)
    return (
        "If that is what the signature is for, as in training on a device, set "
        f"allow_signatures = [{listed}] in [watch.verify]; if not, do not load it."
    )


def _cure(op: str) -> str:
    if op in graph_ops.PYTHON:
        return _PYTHON
    if op in graph_ops.READS_ASSETS or op in graph_ops.TABLES:
        return _ASSET
    if op in graph_ops.SUMMARIES | graph_ops.CACHES.keys() | {"PrintV2"}:
        return _EXPORT
    return _OWN_HANDS


def _is_place(constant: bytes) -> bool:
    """Whether a string names a place of its own, and not a part of a path such as `_temp/part`."""
    return constant.startswith((b"/", b"~")) or b"://" in constant or b".." in constant.split(b"/")
