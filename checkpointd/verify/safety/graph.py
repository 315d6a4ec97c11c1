"""SavedModels: what their graphs would do if they were loaded and run.

Every SavedModel with variables holds ops that read and write checkpoints, so a list of forbidden
ops alone is wrong. What counts is who runs an op and where the path comes from that it uses:

- The saver's own ops are ordinary where the path is the one that it is given, and nowhere else.
- An op that reads files, or calls Python, is a finding unless it lies in a graph of TensorFlow 1
  beside all that is run, as the readers and data sets of a training job do in many exports, with
  their caches and the writers of summaries. One in a function that nobody calls counts all the
  same, and one that writes, connects or executes is a finding wherever it is.
- What reads a file may read an asset of the SavedModel.
- An op that TensorFlow does not have comes with a library of native code.

A `saved_model.pbtxt` is read just so (`graph_text`). The graph in the `.meta` file of a TensorFlow
1 checkpoint is not looked at: only `import_meta_graph` would use it, and `load` does not.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from checkpointd.checkpoint import Format
from checkpointd.verify.origin import release
from checkpointd.verify.safety import graph_limits, graph_ops
from checkpointd.verify.safety.findings import (
    FOREIGN_REFERENCE,
    NEEDS_CODE,
    TRAVERSAL,
    UNSAFE_OP,
    Finding,
)
from checkpointd.verify.safety.graph_flow import MAIN, Flow, Reached
from checkpointd.verify.safety.graph_reading import UncheckedError, graphs_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from checkpointd.verify.safety.graph_flow import Sources
    from checkpointd.verify.safety.graph_model import MetaGraph
    from checkpointd.verify.safety.graph_nodes import Node
    from checkpointd.verify.structure import ScanContext

_MOST = 200


def findings(context: ScanContext) -> Iterator[Finding]:
    """Look through every graph of a SavedModel.

    Raises:
        FormatError: `saved_model.pb` is malformed; `structure` has said so before.
        OSError: it cannot be read.
    """
    checkpoint = context.request.checkpoint
    if checkpoint.format is not Format.SAVEDMODEL:
        return
    members = context.request.generation.members
    size = sum(member.size for member in members)
    try:
        if context.graphs is None:
            context.graphs = graphs_of(checkpoint.path, {m.name: m.size for m in members})
    except UncheckedError as error:
        yield Finding(NEEDS_CODE, str(error), where=error.where)
        return
    graphs, context.graphs = context.graphs, None  # they may be large, and weights come next
    for graph in graphs:
        yield from islice(look_through(graph, size), _MOST)


def look_through(graph: MetaGraph, size: int) -> Iterator[Finding]:
    """Find what speaks against loading one graph.

    Args:
        graph: as the file has it.
        size: of the whole checkpoint, in bytes.
    """
    flow = Flow(graph)
    yield from _names(graph)
    for scope, node in flow.nodes():
        if node.op in graph_ops.WATCHED:
            yield from _watched(flow, scope, node)
    yield from graph_limits.circles(flow)
    yield from graph_limits.shapes(flow, size)
    yield from _unregistered(flow)


def _watched(flow: Flow, scope: str, node: Node) -> Iterator[Finding]:
    """Judge a node whose op reaches outside."""
    reached = flow.reached(scope, node)
    if node.op in graph_ops.CHECKPOINT_READS | graph_ops.CHECKPOINT_WRITES:
        yield from _checkpoint_op(flow, scope, node, reached)
        return
    if node.op in graph_ops.TABLES:
        yield from _table(flow, scope, node, reached)
        return
    if node.op in graph_ops.LEFT_BEHIND and flow.left_behind(scope, node):
        return
    if not _harmless(flow, scope, node):
        yield _finding(flow, scope, node)


def _harmless(flow: Flow, scope: str, node: Node) -> bool:
    """Whether an op's arguments make it one that stays inside."""
    if node.op in graph_ops.ATTRIBUTES:
        name, ordinary = graph_ops.ATTRIBUTES[node.op]
        return all(
            value in ordinary or any(o.endswith("://") and value.startswith(o) for o in ordinary)
            for value in node.texts.get(name, ("",))
        )
    if node.op in graph_ops.READS_ASSETS:
        source = flow.source(scope, node, 0)
        return _is_asset(flow, scope, node, source)
    if node.op in graph_ops.CACHES:
        source = flow.source(scope, node, graph_ops.CACHES[node.op])
        elsewhere = source.given or source.computed or source.filename or source.assets
        return not elsewhere and not source.constants - {b""}
    if node.op in graph_ops.REMOTE:
        source = flow.source(scope, node, graph_ops.REMOTE[node.op])
        here = all(b"/job:" not in c or b"/job:localhost" in c for c in source.constants)
        return here and not source.computed
    return False


def _is_asset(flow: Flow, scope: str, node: Node, source: Sources) -> bool:
    """Whether a path is that of an asset: a constant is one only while it is loaded."""
    elsewhere = source.given or source.computed or source.filename or source.constants
    fixed = source.fixed and flow.in_signature(scope, node)
    return source.assets and not elsewhere and not fixed


def _checkpoint_op(flow: Flow, scope: str, node: Node, reached: Reached) -> Iterator[Finding]:
    """Judge an op of the saver: it may use the path that the saver is given, and no other."""
    reads = node.op in graph_ops.CHECKPOINT_READS
    if reached is Reached.LIVE or (reached is Reached.RESTORE and not reads):
        yield _finding(flow, scope, node)
        return
    if scope == MAIN and reached is Reached.NEVER and reads:
        return  # of an initializer that nobody runs: tf.train.init_from_checkpoint leaves such
    for index in (0, 1) if node.op == "MergeV2Checkpoints" else (0,):
        source = flow.source(scope, node, index)
        placed = any(_is_place(constant) for constant in source.constants)
        given = source.filename or source.given
        if given and not (reads and (placed or source.computed)):
            continue  # a path to write to is put together, one to read from is not
        if placed or scope != MAIN or reached is not Reached.NEVER:
            yield _finding(flow, scope, node)
            return


def _table(flow: Flow, scope: str, node: Node, reached: Reached) -> Iterator[Finding]:
    """Judge a table that reads its vocabulary from a file."""
    if scope == MAIN and reached is Reached.NEVER:
        return
    source = flow.source(scope, node, graph_ops.TABLES[node.op])
    foreign = sorted(source.constants)
    if not _is_asset(flow, scope, node, source):
        said = "computed in it" if source.computed else "given to it"
        name = foreign[0].decode("utf-8", "backslashreplace") if foreign else said
        yield Finding(
            FOREIGN_REFERENCE,
            f"A table in its graph is read from a file that is none of its assets ({name}): "
            f"{flow.path(scope, node)}.",
            where=node.name,
            what=name,
        )


def _finding(flow: Flow, scope: str, node: Node) -> Finding:
    """Make the finding for an op that reaches outside."""
    reads = node.op in graph_ops.CHECKPOINT_READS
    constants = flow.source(scope, node, 0).constants if reads else set()
    foreign = sorted(c for c in constants if _is_place(c))
    named = f" ({foreign[0].decode('utf-8', 'backslashreplace')})" if foreign else ""
    return Finding(
        FOREIGN_REFERENCE if foreign else UNSAFE_OP,
        f"Its graph has an op that {graph_ops.purpose(node.op)}{named}: {flow.path(scope, node)}.",
        where=node.name,
        what=node.op,
    )


def _is_place(constant: bytes) -> bool:
    """Whether a string names a place of its own, and not a part of a path such as `_temp/part`."""
    return constant.startswith((b"/", b"~")) or b"://" in constant or b".." in constant.split(b"/")


def _unregistered(flow: Flow) -> Iterator[Finding]:
    """Find ops that only a library of native code has."""
    if release(flow.graph.version) > graph_ops.KNOWN_VERSION:
        return  # it may be one of TensorFlow's newer ones: `load` will see
    known = graph_ops.registered()
    told: set[str] = set()
    for scope, node in flow.nodes():
        if node.op in known or node.op in told or node.op in flow.graph.functions:
            continue
        if node.op.startswith("_"):
            continue  # TensorFlow's own, which differ from build to build
        told.add(node.op)
        yield Finding(
            NEEDS_CODE,
            f"Its graph uses the op {node.op!r}, which is not TensorFlow's own: it is native code "
            "of a library that has to be imported first. Set allow_code = true in [watch.verify] "
            "if you trust it.",
            where=f"{scope}/{node.name}" if scope else node.name,
            what=node.op,
        )


def _names(graph: MetaGraph) -> Iterator[Finding]:
    """Find names that lead out of the directory where somebody makes a path of them."""
    for _, filename in graph.assets:
        if leads_out(filename):
            yield Finding(
                TRAVERSAL,
                f"The name of an asset leads out of the checkpoint's directory: {filename}.",
                where="assets",
                what=filename,
            )
    names = [node.name for node in graph.nodes]
    names += [n for f in graph.functions.values() for n in (f.name, *(x.name for x in f.nodes))]
    for name in names:
        if ".." in name and ".." in name.replace("\\", "/").split("/"):
            yield Finding(
                TRAVERSAL, f"The name of a node leads out of a directory: {name}.", where=name
            )
            return


def leads_out(filename: str) -> bool:
    """Whether a name in a directory names something outside of it."""
    parts = filename.replace("\\", "/").split("/")
    return ".." in parts or filename.startswith("/") or "\0" in filename
