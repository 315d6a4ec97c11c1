"""A SavedModel's graphs: nodes, functions, and what loading and signatures run.

Sources: tensorflow/core/protobuf/{saved_model,meta_graph,saver,saved_object_graph}.proto and
core/framework/{graph,function}.proto. A message that comes twice is one, as protobuf has it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from checkpointd.formats.facts import MALFORMED, FormatError
from checkpointd.formats.graph import META_GRAPH, whole
from checkpointd.formats.protobuf import fields, map_entry, message, messages, text, texts, walk
from checkpointd.verify.scan.saved_model.nodes import Node, Window, last, node_at
from checkpointd.verify.scan.saved_model.objects import Objects, read_objects

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from checkpointd.formats.protobuf import Span

    Read = Callable[[int, int], bytes]

_META_INFO, _GRAPH, _SAVER, _COLLECTION, _SIGNATURE, _ASSET, _OBJECTS = range(1, 8)
_MAX_DEPTH = 64

_INIT_COLLECTIONS = ("saved_model_main_op", "legacy_init_op")
_TABLES, _LOCAL_VARIABLES = "table_initializer", "local_variables"
_INIT_OP, _TRAIN_OP = "__saved_model_init_op", "__saved_model_train_op"

_ASSET_COLLECTION = "saved_model_assets"
"""Where TensorFlow 1 keeps its assets."""


@dataclass(frozen=True)
class Function:
    """A function of the library: the names of its arguments, its nodes, the tensors it returns.

    `stands_in` marks one that TensorFlow may run in place of another without being named: both have
    the attribute `api_implements` (grappler's implementation selector).
    """

    name: str
    arguments: tuple[str, ...]
    nodes: tuple[Node, ...]
    stands_in: bool = False
    results: tuple[str, ...] = ()


@dataclass
class MetaGraph:
    """One graph, and what of it is run.

    `signatures` and `initial` map a label of what runs nodes to the names of tensors and ops;
    `otherwise` does for what is run only if there is no op of initialisation. `fed` are the tensors
    that a signature is given, `defaults` those that have a default. `saver` holds the nodes of the
    saver, `restore` the one that loading runs, `filename` the tensor that holds the path.
    `gradients` maps a function to the one that computes its gradient, `backward` holds those that
    compute the gradient of an op.
    `assets` are pairs of a tensor and the file in `assets/` whose path it holds.
    """

    version: str = ""
    nodes: list[Node] = field(default_factory=list)
    functions: dict[str, Function] = field(default_factory=dict)
    gradients: dict[str, str] = field(default_factory=dict)
    backward: set[str] = field(default_factory=set)
    signatures: dict[str, list[str]] = field(default_factory=dict)
    fed: dict[str, set[str]] = field(default_factory=dict)
    defaults: set[str] = field(default_factory=set)
    initial: dict[str, list[str]] = field(default_factory=dict)
    otherwise: dict[str, list[str]] = field(default_factory=dict)
    saver: list[str] = field(default_factory=list)
    restore: str = ""
    filename: str = ""
    assets: list[tuple[str, str]] = field(default_factory=list)
    objects: Objects = field(default_factory=Objects)


def read_graphs(read: Read, size: int) -> list[MetaGraph]:
    """Read every graph of a `saved_model.pb`.

    Args:
        read: returns bytes of it from an offset, fewer at its end.
        size: of it, in bytes.

    Raises:
        FormatError: it is malformed, or cut short.
        OSError: it cannot be read.
    """
    window = Window(read)
    return [_meta_graph(window, top) for top in walk(window, 0, size) if top.number == META_GRAPH]


def _meta_graph(read: Read, span: Span) -> MetaGraph:
    graph = MetaGraph()
    for part in walk(read, span.start, span.end):
        if part.number == _GRAPH:
            _graph(read, part, graph)
        elif part.number == _OBJECTS:
            read_objects(read, part, graph.objects)
        elif part.number in (_META_INFO, _SAVER, _COLLECTION, _SIGNATURE, _ASSET):
            _description(part.number, whole(read, part), graph)
    return graph


def _graph(read: Read, graph: Span, result: MetaGraph) -> None:
    """Read a GraphDef: its nodes, and its library of functions."""
    for part in walk(read, graph.start, graph.end):
        if part.number == 1:
            result.nodes.append(node_at(read, part))
        elif part.number == 2:  # GraphDef.library
            for piece in walk(read, part.start, part.end):
                _library(read, piece, result)


def _library(read: Read, piece: Span, graph: MetaGraph) -> None:
    """Read a part of a FunctionDefLibrary."""
    if piece.number == 1:
        function = _function(read, piece)
        if function.name in graph.functions or not function.name:
            wrong = f"It holds the function {function.name!r} twice, or without a name."
            raise FormatError(MALFORMED, wrong)
        graph.functions[function.name] = function
    elif piece.number == 2:  # FunctionDefLibrary.gradient
        names = dict(fields(whole(read, piece)))
        graph.gradients[text(names.get(1, b""))] = text(names.get(2, b""))
    elif piece.number == 3:  # FunctionDefLibrary.registered_gradients
        graph.backward.update(texts(whole(read, piece), 1))


def _function(read: Read, span: Span) -> Function:
    name = ""
    arguments: list[str] = []
    given: list[str] = []
    returned: dict[str, str] = {}
    nodes: list[Node] = []
    stands_in = False
    for part in walk(read, span.start, span.end):
        if part.number == 3:  # FunctionDef.node_def
            nodes.append(node_at(read, part))
        elif part.number == 5:  # FunctionDef.attr
            stands_in |= map_entry(whole(read, part))[0] == "api_implements"
        elif part.number == 4:  # FunctionDef.ret
            to, result = map_entry(whole(read, part))
            returned[to] = text(result)
        elif part.number == 1:
            for key, value in fields(whole(read, part)):
                if key == 1:
                    name = text(value)
                elif key in (2, 3):  # OpDef.input_arg, output_arg
                    names = arguments if key == 2 else given
                    names.append(last(texts(message(value), 1)))
    results = tuple(returned.get(to, "") for to in given)
    return Function(name, tuple(arguments), tuple(nodes), stands_in, results)


def _description(kind: int, data: bytes, graph: MetaGraph) -> None:
    """Read one of the small parts of a MetaGraphDef."""
    if kind == _META_INFO:
        graph.version = last(texts(data, 5), graph.version)
    elif kind == _SAVER:
        for key, value in fields(data):
            if key in (1, 2, 3):
                graph.saver.append(text(value))
            if key == 1:
                graph.filename = text(value)
            elif key == 3:  # SaverDef.restore_op_name
                graph.restore = text(value)
    elif kind == _COLLECTION:
        _collection(data, graph)
    elif kind == _SIGNATURE:
        _signature(data, graph)
    else:
        _asset(data, graph)


def _signature(data: bytes, graph: MetaGraph) -> None:
    """Read an entry of MetaGraphDef.signature_def."""
    name, value = map_entry(data)
    if name == _TRAIN_OP:
        return  # neither loading nor serving runs it
    given: dict[str, list[str]] = {}
    asked: list[str] = []
    for key, content in fields(value):
        if key in (1, 2):  # SignatureDef.inputs, outputs
            alias, info = map_entry(message(content))
            (asked if key == 2 else given.setdefault(alias, [])).extend(_tensors(info))
    left = {map_entry(default)[0] for default in messages(value, 4)}
    label = f"signature {name}"
    where = graph.initial if name == _INIT_OP else graph.signatures
    where.setdefault(label, []).extend(asked)
    for alias, tensors in given.items():
        to = graph.defaults if alias in left else graph.fed.setdefault(label, set())
        to.update(tensors)


def _collection(data: bytes, graph: MetaGraph) -> None:
    """Read an entry of MetaGraphDef.collection_def, if it concerns loading."""
    name, value = map_entry(data)
    if name in (*_INIT_COLLECTIONS, _TABLES):
        names = [name for node_list in messages(value, 1) for name in texts(node_list, 1)]
        where = graph.otherwise if name == _TABLES else graph.initial
        where.setdefault(f"the collection {name}", []).extend(names)
    elif name == _LOCAL_VARIABLES:
        variables = (one for bytes_list in messages(value, 2) for one in messages(bytes_list, 1))
        names = [initializer for variable in variables for initializer in texts(variable, 2)]
        graph.otherwise.setdefault(f"the collection {name}", []).extend(names)
    elif name == _ASSET_COLLECTION:
        for packed in (one for any_list in messages(value, 5) for one in messages(any_list, 1)):
            for asset in messages(packed, 2):
                _asset(asset, graph)


def _asset(data: bytes, graph: MetaGraph) -> None:
    """Read an AssetFileDef."""
    info = b"".join(messages(data, 1))
    graph.assets.append((last(texts(info, 1)), last(texts(data, 2))))


def _tensors(info: bytes, depth: int = 0) -> Iterator[str]:
    """Yield the names of the tensors that a TensorInfo consists of."""
    if depth > _MAX_DEPTH:
        raise FormatError(MALFORMED, "A tensor of a signature is nested too deeply.")
    for key, value in fields(info):
        if key == 1:
            yield text(value)
        elif key == 4:  # TensorInfo.coo_sparse
            yield from texts(message(value), 1, 2, 3)
        elif key == 5:  # TensorInfo.composite_tensor
            for component in messages(message(value), 2):
                yield from _tensors(component, depth + 1)
