"""Judges the nodes of a graph whose ops reach outside: by who runs them, and on which path.

- The saver's own ops are ordinary where the path is the one that it is given, and nowhere else.
- What reads a file may read an asset of the SavedModel. If a caller gives the path, that is only a
  warning: the caller chooses the file.
- A signature that reads or writes checkpoints or files on a path that it is given does so for its
  callers. Training on a device works that way; the user allows it by the signature's name.
- A Python function ends with the process that made it: what needs one runs nowhere else.
- What nothing runs does no harm. Ops that write, connect or execute are reported all the same,
  others if they are in a function that nothing calls and that names a file.
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
_DO_NOT_LOAD = "Do not load it, and ask where it came from."
_CALLERS_CHOOSE = "Its caller chooses that file: let only callers that you trust do so."


class Judge:
    """Judges the nodes of one graph.

    Args:
        flow: the graph, and what of it is run.
        allowed: the signatures that may use files whose paths they are given.
    """

    def __init__(self, flow: Flow, allowed: Collection[str] = ()) -> None:
        self._flow = flow
        self._allowed = frozenset(allowed)
        self._unallowed: list[str] = []

    def findings(self) -> Iterator[Finding]:
        """Yield a finding for each node whose op reaches outside and is not ordinary."""
        found = (self._unallowed_signatures(scope, node) for scope, node in self._watched())
        self._unallowed = sorted({name for names in found for name in names})
        for scope, node in self._watched():
            finding = self._judged(scope, node)
            if finding is not None:
                yield finding

    def _watched(self) -> Iterator[tuple[str, Node]]:
        for scope, node in self._flow.nodes():
            if node.op in graph_ops.WATCHED:
                yield scope, node

    def _judged(self, scope: str, node: Node) -> Finding | None:
        """Judge one node; None if it is ordinary."""
        reached = self._flow.reached(scope, node)
        if self._is_ordinary(scope, node, reached):
            return None
        word, advice = self._word(scope, node), _advice_on(node.op)
        if reached is Reached.NEVER:
            word, advice = NOT_SERVED, "Neither loading nor a signature runs it: do not run it."
        elif reached is Reached.CALLABLE and node.op in graph_ops.PYTHON:
            word, advice = NOT_SERVED, "No signature needs it, and it runs nowhere else."
        elif reached in _FOR_CALLERS and self._only_given(scope, node):
            if self._is_allowed(scope, node):
                return None
            if reached is Reached.CALLABLE or node.op in _READS_GIVEN:
                word, advice = GIVEN_PATH, _CALLERS_CHOOSE
            else:
                word, advice = UNSAFE_OP, _to_allow(self._unallowed)
        return self._finding(word, scope, node, advice)

    def _is_ordinary(self, scope: str, node: Node, reached: Reached) -> bool:
        """Whether a node needs no finding."""
        if node.op in graph_ops.CHECKPOINT_READS | graph_ops.CHECKPOINT_WRITES:
            return self._is_of_the_saver(scope, node, reached)
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
        """Whether an op with these arguments does not reach outside."""
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

    def _is_of_the_saver(self, scope: str, node: Node, reached: Reached) -> bool:
        """Whether an op of the saver uses the path that the saver is given, and no other."""
        reads = node.op in graph_ops.CHECKPOINT_READS
        if reached.live or (reached is Reached.RESTORE and not reads):
            return False
        if scope == MAIN and reached is Reached.NEVER:
            return True  # as tf.train.init_from_checkpoint and a second Saver leave
        for index in (0, 1) if node.op == "MergeV2Checkpoints" else (0,):
            source = self._source(scope, node, index)
            elsewhere = any(_is_location(constant) for constant in source.constants)
            given = source.filename or source.given
            if not given or (reads and (elsewhere or source.computed)):
                return False  # a path to write to may be joined, one to read from may not
        return True

    def _source(self, scope: str, node: Node, index: int, *, head: bool = False) -> Sources:
        """Return the sources of a node's input, in all places where the node is run."""
        fed = self._flow.fed_to(scope, node)
        return self._flow.origins.source(scope, node, index, head=head, fed=fed)

    def _names_a_file(self, scope: str, node: Node) -> bool:
        """Whether an op uses a constant path, and not only one that it is given."""
        source = self._source(scope, node, graph_ops.PATHS[node.op])
        return bool(source.constants)

    def _only_given(self, scope: str, node: Node) -> bool:
        """Whether every path that an op uses is given by a caller."""
        if node.op not in graph_ops.PATHS:
            return False
        inputs = (0, 1) if node.op == "MergeV2Checkpoints" else (graph_ops.PATHS[node.op],)
        sources = [self._source(scope, node, i, head=True) for i in inputs]
        return all(source.only_given for source in sources)

    def _unallowed_signatures(self, scope: str, node: Node) -> list[str]:
        """Return the signatures that run a node on a path that they are given."""
        if node.op not in graph_ops.PATHS or node.op in _READS_GIVEN:
            return []
        names = self._flow.signatures_of(scope, node)
        return names if names and self._only_given(scope, node) else []

    def _is_allowed(self, scope: str, node: Node) -> bool:
        """Whether the user allows all signatures that run a node to use paths that they are given.

        The functions that such signatures were made of are in the graph too, under other names.
        """
        names = self._flow.signatures_of(scope, node) or self._unallowed
        return bool(names) and self._allowed.issuperset(names)

    def _word(self, scope: str, node: Node) -> str:
        """Return the word for an op that is run."""
        if node.op in graph_ops.TABLES:
            return FOREIGN_REFERENCE
        if node.op in graph_ops.CHECKPOINT_READS:
            constants = self._source(scope, node, 0).constants
            return FOREIGN_REFERENCE if any(map(_is_location, constants)) else UNSAFE_OP
        return UNSAFE_OP

    def _finding(self, word: str, scope: str, node: Node, advice: str) -> Finding:
        """Make a finding: what was found, how it is reached, and what to do."""
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
            + f"{self._flow.path(scope, node)}{file}. {advice}",
            where=node.name,
            what=_text(constants[0]) if named and constants else node.op,
        )


def _file(node: Node, source: Sources) -> str:
    """Return which file an op uses, as the end of a sentence that names the op."""
    does = "reads" if node.op in _READS else "writes to"
    if source.constants - {b""}:
        chosen = min(source.constants - {b""}, key=lambda c: (not _is_location(c), c))
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


def _advice_on(op: str) -> str:
    if op in graph_ops.PYTHON:
        return _PYTHON
    if op in graph_ops.READS_ASSETS or op in graph_ops.TABLES:
        return _ASSET
    if op in graph_ops.SUMMARIES | graph_ops.CACHES.keys() | {"PrintV2"}:
        return _EXPORT
    return _DO_NOT_LOAD


def _is_location(constant: bytes) -> bool:
    """Whether a string is a location by itself, and not a part of a path such as `_temp/part`."""
    return constant.startswith((b"/", b"~")) or b"://" in constant or b".." in constant.split(b"/")
