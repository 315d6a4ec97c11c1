"""SavedModels: what their graphs would do when they are loaded and run.

Every SavedModel with variables holds ops that read and write checkpoints, so a list of forbidden
ops is not enough: it matters who runs an op (`graph_flow`) and where its path comes from
(`graph_sources`); `graph_judge` decides. An op that TensorFlow does not have needs a library of
native code.

A `saved_model.pbtxt` is judged like a `saved_model.pb`. The graph in the `.meta` file of a
TensorFlow 1 checkpoint is not judged: only `import_meta_graph` would use it, and `load` does not.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from checkpointd.core.format_specs import Format
from checkpointd.formats.savedmodel import WARMUP_REQUESTS
from checkpointd.verify.keras_files.origin import release
from checkpointd.verify.scan.findings import NEEDS_CODE, TRAVERSAL, UNSAFE_OP, Finding
from checkpointd.verify.scan.safety import graph_limits, graph_ops
from checkpointd.verify.scan.safety.graph_flow import Flow
from checkpointd.verify.scan.safety.graph_judge import Judge
from checkpointd.verify.scan.saved_model.reading import (
    UninspectableGraphError,
    graphs_of,
    leads_out,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from checkpointd.verify.scan.saved_model.meta_graph import MetaGraph
    from checkpointd.verify.scan.scan_context import ScanContext

_MOST = 200


def findings(context: ScanContext) -> Iterator[Finding]:
    """Judge every graph of a SavedModel.

    Raises:
        FormatError: `saved_model.pb` is malformed, which `structure` reports too.
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
    except UninspectableGraphError as error:
        yield Finding(NEEDS_CODE, str(error), where=error.where)
        return
    graphs, context.graphs = context.graphs, None  # they may be large, and weights come next
    allowed = context.request.settings.allow_signatures
    has_warmup = bool(allowed) and any(member.name == WARMUP_REQUESTS for member in members)
    for graph in graphs:
        limited = list(islice(judge_graph(graph, size, allowed), _MOST))
        if has_warmup and len(list(islice(judge_graph(graph, size), _MOST))) > len(limited):
            yield Finding(
                UNSAFE_OP,
                "Its warm-up requests run signatures as soon as TensorFlow Serving loads it, with "
                "paths of their own, so allow_signatures does not hold for it: remove "
                f"{WARMUP_REQUESTS[1:]}, or do not serve it.",
                where=WARMUP_REQUESTS[1:],
            )
        yield from limited


def judge_graph(graph: MetaGraph, size: int, allowed: Collection[str] = ()) -> Iterator[Finding]:
    """Yield the findings in one graph.

    Args:
        graph: as it is in the file.
        size: of the whole checkpoint, in bytes.
        allowed: the signatures that may use files whose paths they are given.
    """
    flow = Flow(graph)
    yield from _names(graph)
    yield from Judge(flow, allowed).findings()
    yield from graph_limits.cycles(flow)
    yield from graph_limits.shapes(flow, size)
    yield from _unregistered(flow)


def _unregistered(flow: Flow) -> Iterator[Finding]:
    """Yield a finding for each op that only a library of native code registers."""
    if release(flow.graph.version) > graph_ops.KNOWN_VERSION:
        return  # it may be an op of a newer TensorFlow: `load` decides
    known = graph_ops.registered()
    reported: set[str] = set()
    for scope, node in flow.nodes():
        if node.op in known or node.op in reported or node.op in flow.graph.functions:
            continue
        if node.op.startswith("_"):
            continue  # internal ops of TensorFlow, which differ from build to build
        reported.add(node.op)
        yield Finding(
            NEEDS_CODE,
            f"Its graph uses the op {node.op!r}, which is not TensorFlow's own: it is native code "
            "of a library that has to be imported first. Set allow_code = true in [watch.verify] "
            "if you trust it.",
            where=f"{scope}/{node.name}" if scope else node.name,
            what=node.op,
        )


def _names(graph: MetaGraph) -> Iterator[Finding]:
    """Find names that lead out of the directory if a path is made of them."""
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
