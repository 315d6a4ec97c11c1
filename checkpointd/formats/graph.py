"""What `saved_model.pb` states about itself, without its graph and functions.

Sources: tensorflow/core/protobuf/{saved_model,meta_graph,saved_object_graph}.proto.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from checkpointd.formats import names
from checkpointd.formats.dtypes import dtype_name
from checkpointd.formats.facts import (
    MALFORMED,
    MISSING_MEMBER,
    TRUNCATED,
    FormatError,
)
from checkpointd.formats.protobuf import (
    LENGTH,
    fields,
    map_entry,
    message,
    number,
    tensor_shape,
    texts,
    walk,
)
from checkpointd.formats.storage import LOCAL

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from checkpointd.formats.protobuf import Span
    from checkpointd.formats.storage import Storage

GRAPH, TEXT_GRAPH, IMAGE_GRAPH = ("/" + name for name in names.GRAPH_FILES)
VARIABLES = "/variables/variables"
"""The prefix of the bundle in a SavedModel."""

META_GRAPH = 2
"""The number of SavedModel.meta_graphs."""

SAVER, OBJECT_GRAPH = 3, 7
"""Numbers of fields of a MetaGraphDef."""

_META_INFO, _SIGNATURE, _ASSET = 1, 5, 6
_NODES, _USER_OBJECT = 1, 4
_UNKNOWN_RANK = 3
_MAX_MESSAGE = 256 << 20


@dataclass(frozen=True)
class SavedModelInfo:
    """What a SavedModel states about itself.

    `signatures` are those of the graph tagged `serve`, else of the first: a name maps to
    `inputs` and `outputs`, each a list of `[name, dtype, shape]`; a shape is a list in which an
    open dimension is None, or None when the rank is open. `root` is the identifier of the root
    object (`_tf_keras_network`, ...), empty in TF 1.
    """

    tensorflow_version: str = ""
    tag_sets: tuple[tuple[str, ...], ...] = ()
    signatures: Mapping[str, Any] = field(default_factory=dict)
    has_object_graph: bool = False
    has_saver: bool = False
    root: str = ""
    assets: tuple[str, ...] = ()


def read_graph(path: str, storage: Storage = LOCAL) -> SavedModelInfo:
    """Read what `saved_model.pb` states, without its graph and functions.

    Args:
        path: the SavedModel's directory.
        storage: where it is stored.

    Raises:
        FormatError: the file is not there, is cut short, or is malformed.
        OSError: it cannot be read.
    """
    try:
        size = storage.stat(path + GRAPH).size
    except FileNotFoundError:
        raise FormatError(MISSING_MEMBER, "saved_model.pb is not there.") from None
    if not size:
        raise FormatError(TRUNCATED, "saved_model.pb is empty.")

    def read(offset: int, length: int) -> bytes:
        return storage.pread(path + GRAPH, offset, length)

    return described(read, size)


def described(read: Callable[[int, int], bytes], size: int) -> SavedModelInfo:
    """Read what a SavedModel states, from its encoded bytes.

    Args:
        read: gives that many bytes of it from an offset.
        size: of it, in bytes.

    Raises:
        FormatError: it is malformed.
    """
    graphs = [_meta_graph(read, top) for top in walk(read, 0, size) if top.number == META_GRAPH]
    if not graphs:
        raise FormatError(MALFORMED, "saved_model.pb holds no graph.")
    chosen = next((g for g in graphs if "serve" in g.tag_sets[0]), graphs[0])
    return SavedModelInfo(
        chosen.tensorflow_version,
        tuple(graph.tag_sets[0] for graph in graphs),
        chosen.signatures,
        chosen.has_object_graph,
        chosen.has_saver,
        chosen.root,
        chosen.assets,
    )


def _meta_graph(read: Callable[[int, int], bytes], span: Span) -> SavedModelInfo:
    version = root = ""
    tags: tuple[str, ...] = ()
    assets: list[str] = []
    signatures: dict[str, Any] = {}
    seen: set[int] = set()
    for part in walk(read, span.start, span.end):
        seen.add(part.number)
        if part.number == OBJECT_GRAPH:
            root = root_of(read, part)
        if part.number not in (_META_INFO, _SIGNATURE, _ASSET):
            continue
        data = whole(read, part)
        if part.number == _META_INFO:
            tags = tuple(texts(data, 4))
            version = next(texts(data, 5), "")
        elif part.number == _SIGNATURE:
            name, signature = _signature(data)
            if not name.startswith("__saved_model_"):
                signatures[name] = signature
        else:
            assets.extend(texts(data, 2))
    return SavedModelInfo(
        version,
        (tags,),
        dict(sorted(signatures.items())),
        OBJECT_GRAPH in seen,
        SAVER in seen,
        root,
        tuple(assets),
    )


def whole(read: Callable[[int, int], bytes], span: Span) -> bytes:
    """Read one of the small parts of a SavedModel.

    Raises:
        FormatError: it is not small.
    """
    size = span.end - span.start
    if size > _MAX_MESSAGE:
        raise FormatError(MALFORMED, "A description in saved_model.pb is far too large.")
    return read(span.start, size)


def _signature(data: bytes) -> tuple[str, dict[str, list[list[Any]]]]:
    """Read an entry of MetaGraphDef.signature_def."""
    name, definition = map_entry(data)
    tensors: dict[int, list[list[Any]]] = {1: [], 2: []}
    for index, content in fields(definition):
        if index in tensors:
            key, info = map_entry(message(content))
            tensors[index].append([key, *_tensor_info(info)])
    return name, {"inputs": sorted(tensors[1]), "outputs": sorted(tensors[2])}


def _tensor_info(data: bytes) -> tuple[str, list[int | None] | None]:
    """Read the dtype and shape of a TensorInfo."""
    dtype, shape = 0, None
    for index, content in fields(data):
        if index == 2:  # TensorInfo.dtype
            dtype = number(content)
        elif index == 3:  # TensorInfo.tensor_shape
            shape = _shape(message(content))
    return dtype_name(dtype), shape


def _shape(data: bytes) -> list[int | None] | None:
    if any(index == _UNKNOWN_RANK and content for index, content in fields(data)):
        return None
    return [None if size < 0 else size for size in tensor_shape(data)]


def check_variables(info: SavedModelInfo, names_present: Collection[str]) -> FormatError | None:
    """Describe what is wrong if the graph has variables to restore and there is no bundle of them.

    A graph of TF 1 or 2 has a saver exactly when it has variables.

    Args:
        info: what the graph states.
        names_present: names of the SavedModel's members.
    """
    if info.has_saver and not any(name.startswith(VARIABLES + ".") for name in names_present):
        return FormatError(
            MISSING_MEMBER, "The graph has variables, and the directory variables/ has none."
        )
    return None


def root_of(read: Callable[[int, int], bytes], object_graph: Span) -> str:
    """Read SavedObjectGraph.nodes[0].user_object.identifier, empty if there is none."""
    for node in walk(read, object_graph.start, object_graph.end):
        if node.number != _NODES:
            return ""
        for piece in walk(read, node.start, node.end):
            if piece.number == _USER_OBJECT and piece.kind == LENGTH:
                return _identifier(read(piece.start, min(64, piece.end - piece.start)))
        return ""
    return ""


def _identifier(head: bytes) -> str:
    """Read the first field of a SavedUserObject."""
    length = head[1] if len(head) > 1 and head[0] == 0x0A else 0  # field 1, bytes
    return head[2 : 2 + length].decode("ascii", "replace")
