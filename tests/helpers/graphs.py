"""SavedModels' graphs made by hand, for tests that import no TensorFlow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from checkpointd.verify.scan.safety.graph import judge_graph
from checkpointd.verify.scan.saved_model.meta_graph import MetaGraph, read_graphs
from tests.helpers.protobuf import field

if TYPE_CHECKING:
    from collections.abc import Iterable

    from checkpointd.verify.scan.safety import Finding

FLOAT, INT32, STRING, INT64 = 1, 3, 7, 9
MIB = 1 << 20


def attribute(name: str, value: bytes) -> bytes:
    """Encode an entry of NodeDef.attr."""
    return field(5, field(1, name) + field(2, value))


def node(name: str, op: str, *inputs: str, calls: Iterable[str] = (), **texts: str) -> bytes:
    """Encode a NodeDef, with attributes that name functions and that are strings."""
    made = field(1, name) + field(2, op) + b"".join(field(3, i) for i in inputs)
    made += b"".join(attribute(f"f{i}", field(10, field(1, f))) for i, f in enumerate(calls))
    return made + b"".join(attribute(key, field(2, text)) for key, text in texts.items())


def constant(name: str, tensor: bytes) -> bytes:
    """Encode a node that is a constant."""
    return node(name, "Const") + attribute("value", field(8, tensor))


def text(name: str, *values: str) -> bytes:
    """Encode a node that is a constant of strings."""
    return constant(name, field(1, STRING) + b"".join(field(8, v) for v in values))


def shaped(dtype: int, *dims: int) -> bytes:
    """Encode the beginning of a TensorProto, or all of it but for the values."""
    return field(1, dtype) + field(2, b"".join(field(2, field(1, d)) for d in dims))


def numbers(name: str, *values: int) -> bytes:
    """Encode a node that is a constant list of int32."""
    content = b"".join(v.to_bytes(4, "little", signed=True) for v in values)
    return constant(name, shaped(INT32, len(values)) + field(4, content))


def function(
    name: str, *nodes: bytes, arguments: Iterable[str] = (), results: Iterable[str] = ()
) -> bytes:
    """Encode a FunctionDef; its results are tensors in it."""
    signature = field(1, name) + b"".join(field(2, field(1, a)) for a in arguments)
    given = dict(enumerate(results))
    signature += b"".join(field(3, field(1, f"out{i}")) for i in given)
    returned = b"".join(field(4, field(1, f"out{i}") + field(2, t)) for i, t in given.items())
    return field(1, signature) + b"".join(field(3, n) for n in nodes) + returned


def outputs(
    name: str, *tensors: str, inputs: Iterable[str] = (), defaults: Iterable[str] = ()
) -> bytes:
    """Encode an entry of MetaGraphDef.signature_def; an input is called like its tensor."""
    made = b"".join(_named(1, tensor, tensor) for tensor in inputs)
    made += b"".join(_named(2, "y", tensor) for tensor in tensors)
    made += b"".join(field(4, field(1, name) + field(2, b"")) for name in defaults)
    return field(1, name) + field(2, made)


def _named(number: int, name: str, tensor: str) -> bytes:
    return field(number, field(1, name) + field(2, field(1, tensor)))


def saver(filename: str = "save/Const:0", restore: str = "save/restore_all") -> bytes:
    """Encode a SaverDef."""
    return field(1, filename) + field(2, "save/control_dependency:0") + field(3, restore)


def asset(tensor: str, filename: str) -> bytes:
    """Encode an AssetFileDef."""
    return field(1, field(1, tensor)) + field(2, filename)


def main_op(collection: str, *names: str) -> bytes:
    """Encode a collection of nodes."""
    return field(1, collection) + field(2, field(1, b"".join(field(1, n) for n in names)))


def concrete(name: str, *captures: int) -> bytes:
    """Encode an entry of SavedObjectGraph.concrete_functions, its numbers packed."""
    return field(1, name) + field(2, field(2, bytes(captures)))


def meta_graph(
    *nodes: bytes,
    functions: Iterable[bytes] = (),
    signatures: Iterable[bytes] = (),
    collections: Iterable[bytes] = (),
    assets: Iterable[bytes] = (),
    objects: Iterable[bytes] = (),
    concretes: Iterable[bytes] = (),
    saving: bytes = b"",
    version: str = "2.21.0",
) -> bytes:
    """Encode a MetaGraphDef."""
    library = b"".join(field(1, f) for f in functions)
    graph = b"".join(field(1, n) for n in nodes) + field(2, library)
    made = field(1, field(4, "serve") + field(5, version)) + field(2, graph)
    made += field(3, saving) if saving else b""
    for number, parts in ((4, collections), (5, signatures), (6, assets)):
        made += b"".join(field(number, part) for part in parts)
    held = b"".join(field(1, o) for o in objects) + b"".join(field(2, c) for c in concretes)
    return made + (field(7, held) if held else b"")


def parsed(graph: bytes) -> MetaGraph:
    """Read a MetaGraphDef as it is in a file."""
    data = field(1, 1) + field(2, graph)
    return read_graphs(lambda offset, size: data[offset : offset + size], len(data))[0]


def found(graph: bytes, size: int = MIB, allowed: Iterable[str] = ()) -> list[Finding]:
    """What speaks against loading a graph in a checkpoint of `size` bytes."""
    return list(judge_graph(parsed(graph), size, tuple(allowed)))


def words(graph: bytes, size: int = MIB, allowed: Iterable[str] = ()) -> list[str]:
    """The words of what speaks against loading a graph."""
    return [finding.word for finding in found(graph, size, allowed)]
