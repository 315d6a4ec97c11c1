"""SavedModel directories: a graph in `saved_model.pb`, variables as a tensor bundle, and marks.

Sources: tensorflow/core/protobuf/{saved_model,meta_graph,saved_object_graph}.proto, and the order
in which tf.saved_model.save and tf_keras write: `variables/`, `assets/`, `saved_model.pb`,
`fingerprint.pb`, then (tf_keras alone) `keras_metadata.pb`, in place.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from checkpointd.checkpoint import Format
from checkpointd.formats import names
from checkpointd.formats.dtypes import dtype_name
from checkpointd.formats.facts import (
    MALFORMED,
    MISSING_MEMBER,
    PROBE_BYTES,
    TRUNCATED,
    FormatError,
    Probe,
    complete,
    incomplete,
    unknown,
)
from checkpointd.formats.protobuf import (
    LENGTH,
    fields,
    message,
    number,
    signed,
    text,
    walk,
)
from checkpointd.formats.storage import LOCAL
from checkpointd.formats.tf_checkpoint import probe_bundle

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from checkpointd.checkpoint import Member
    from checkpointd.formats.facts import Found
    from checkpointd.formats.protobuf import Span, Value
    from checkpointd.formats.storage import Storage

GRAPH, TEXT_GRAPH, IMAGE_GRAPH = ("/" + name for name in names.GRAPH_FILES)
FINGERPRINT = "/fingerprint.pb"
KERAS_METADATA = "/keras_metadata.pb"
VARIABLES = "/variables/variables"

KERAS_ROOT = "_tf_keras_"
"""How the identifier of the root object begins in what Keras 2 saved."""

_META_GRAPH = 2
_META_INFO, _SAVER, _SIGNATURE, _ASSET, _OBJECT_GRAPH = 1, 3, 5, 6, 7
_MAX_MESSAGE = 256 << 20
_MAX_UNKNOWN_RANK = 3


@dataclass(frozen=True)
class SavedModelInfo:
    """What a SavedModel says of itself.

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


def probe(found: Found, storage: Storage = LOCAL) -> Probe:
    """Say whether a directory is a whole SavedModel.

    It is certain when `fingerprint.pb` is there, not older than the graph and the variables, and
    the root object in the graph is none of Keras 2's, or else a whole `keras_metadata.pb` is there
    that is not older either. `tf.saved_model.save` of a Keras 2 model writes no such file, and
    TensorFlow before 2.11 no fingerprint: those settle by time.

    Raises:
        OSError: it cannot be read.
    """
    members = {member.name: member for member in found.generation.members}
    try:
        _check_presence(members)
        if GRAPH not in members:
            if TEXT_GRAPH in members:
                return _probe_text(found.path, members, storage)
            return unknown(Format.SAVEDMODEL, "A SavedModel in TensorFlow's image format (.cpb).")
        root = _probe_graph(found.path + GRAPH, members[GRAPH].size, storage)
        bundle = _probe_variables(found.path, members, storage)
    except FormatError as error:
        return incomplete(Format.SAVEDMODEL, error)
    certain = bundle and root is not None and _marked(found.path, members, root, storage)
    return complete(Format.SAVEDMODEL, certain=certain)


def _check_presence(members: Mapping[str, Member]) -> None:
    graphs = [member for name in names.GRAPH_FILES if (member := members.get("/" + name))]
    if not graphs:
        raise FormatError(
            MISSING_MEMBER, "saved_model.pb is not there: it is written after the variables."
        )
    if not any(member.size for member in graphs):
        raise FormatError(TRUNCATED, "saved_model.pb is empty.")


def _probe_text(path: str, members: Mapping[str, Member], storage: Storage) -> Probe:
    size = members[TEXT_GRAPH].size
    if not storage.pread(path + TEXT_GRAPH, max(0, size - 64), 64).rstrip().endswith(b"}"):
        raise FormatError(TRUNCATED, "saved_model.pbtxt is cut short.")
    _probe_variables(path, members, storage)
    return complete(Format.SAVEDMODEL)


def _probe_variables(path: str, members: Mapping[str, Member], storage: Storage) -> bool:
    """Check the bundle of variables; without one nothing is certain (TF 1 models without any)."""
    parts = {
        name[len(VARIABLES) :]: member
        for name, member in members.items()
        if name.startswith(VARIABLES + ".")
    }
    if not parts:
        return False
    try:
        return probe_bundle(path + VARIABLES, parts, storage)[0]
    except FormatError as error:
        raise FormatError(error.word, f"variables: {error.message}") from None


def _probe_graph(path: str, size: int, storage: Storage) -> str | None:
    """Check that the graph ends where it says; give the root object's identifier if it is near.

    Raises:
        FormatError: the graph is cut short.
    """
    reader = _Budget(path, storage)
    root = None
    try:
        for top in walk(reader, 0, size):
            if top.number == _META_GRAPH and root is None:
                root = _root_of(reader, top)
    except _BudgetError:
        return None
    except FormatError as error:
        raise FormatError(error.word, f"saved_model.pb: {error.message}") from None
    return root or ""


def _root_of(read: Callable[[int, int], bytes], meta_graph: Span) -> str:
    """Find SavedObjectGraph.nodes[0].user_object.identifier, empty if there is none."""
    for part in walk(read, meta_graph.start, meta_graph.end):
        if part.number != _OBJECT_GRAPH:
            continue
        for node in walk(read, part.start, part.end):
            if node.number != 1:
                return ""
            for piece in walk(read, node.start, node.end):
                if piece.number == 4 and piece.kind == LENGTH:  # noqa: PLR2004 - user_object
                    head = read(piece.start, min(64, piece.end - piece.start))
                    return _identifier(head)
            return ""
    return ""


def _identifier(head: bytes) -> str:
    """Read the first field of a SavedUserObject."""
    length = head[1] if len(head) > 1 and head[0] == 0x0A else 0  # noqa: PLR2004 - field 1, bytes
    return head[2 : 2 + length].decode("ascii", "replace")


def _marked(path: str, members: Mapping[str, Member], root: str, storage: Storage) -> bool:
    """Say whether the marks are there that the writer leaves last, newer than what they mark."""
    fingerprint = members.get(FINGERPRINT)
    if fingerprint is None or not fingerprint.size:
        return False
    if any(
        member.mtime_ns > fingerprint.mtime_ns
        for name, member in members.items()
        if name == GRAPH or name.startswith((VARIABLES + ".", "/assets/"))
    ):
        return False
    if not root.startswith(KERAS_ROOT):
        return True
    metadata = members.get(KERAS_METADATA)
    if metadata is None or not metadata.size or metadata.mtime_ns < fingerprint.mtime_ns:
        return False
    try:
        for _ in walk(_Budget(path + KERAS_METADATA, storage), 0, metadata.size):
            pass
    except (FormatError, _BudgetError):
        return False
    return True


class _BudgetError(Exception):
    """The probe has read as much of a file as it may."""


class _Budget:
    """Reads a file until PROBE_BYTES have been read."""

    def __init__(self, path: str, storage: Storage) -> None:
        self._path = path
        self._storage = storage
        self._left = PROBE_BYTES

    def __call__(self, offset: int, size: int) -> bytes:
        self._left -= size
        if self._left < 0:
            raise _BudgetError
        return self._storage.pread(self._path, offset, size)


def read_graph(path: str, storage: Storage = LOCAL) -> SavedModelInfo:
    """Read what `saved_model.pb` says, without its graph and functions.

    Args:
        path: the SavedModel's directory.
        storage: where it lies.

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

    graphs = [_meta_graph(read, top) for top in walk(read, 0, size) if top.number == _META_GRAPH]
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
    version = ""
    tags: tuple[str, ...] = ()
    assets: list[str] = []
    signatures: dict[str, Any] = {}
    seen: set[int] = set()
    for part in walk(read, span.start, span.end):
        seen.add(part.number)
        if part.number not in (_META_INFO, _SIGNATURE, _ASSET):
            continue
        if part.end - part.start > _MAX_MESSAGE:
            raise FormatError(MALFORMED, "A description in saved_model.pb is far too large.")
        data = read(part.start, part.end - part.start)
        if part.number == _META_INFO:
            tags = tuple(text(value) for key, value in fields(data) if key == 4)  # noqa: PLR2004
            version = next((text(v) for key, v in fields(data) if key == 5), "")  # noqa: PLR2004
        elif part.number == _SIGNATURE:
            name, signature = _signature(data)
            if not name.startswith("__saved_model_"):
                signatures[name] = signature
        else:
            assets.extend(text(value) for key, value in fields(data) if key == 2)  # noqa: PLR2004
    return SavedModelInfo(
        version,
        (tags,),
        dict(sorted(signatures.items())),
        _OBJECT_GRAPH in seen,
        _SAVER in seen,
        _root_of(read, span) if _OBJECT_GRAPH in seen else "",
        tuple(assets),
    )


def _map_entry(data: bytes) -> tuple[str, bytes]:
    """Read one entry of a protobuf map from a string to a message."""
    key, value = "", b""
    for index, content in fields(data):
        if index == 1:
            key = text(content)
        elif index == 2:  # noqa: PLR2004 - a map entry's value
            value = message(content)
    return key, value


def _signature(data: bytes) -> tuple[str, dict[str, list[list[Any]]]]:
    """Read an entry of MetaGraphDef.signature_def."""
    name, definition = _map_entry(data)
    tensors: dict[int, list[list[Any]]] = {1: [], 2: []}
    for index, content in fields(definition):
        if index in tensors:
            key, info = _map_entry(message(content))
            tensors[index].append([key, *_tensor_info(info)])
    return name, {"inputs": sorted(tensors[1]), "outputs": sorted(tensors[2])}


def _tensor_info(data: bytes) -> tuple[str, list[int | None] | None]:
    """Read the dtype and shape of a TensorInfo."""
    dtype, shape = 0, None
    for index, content in fields(data):
        if index == 2:  # noqa: PLR2004 - TensorInfo.dtype
            dtype = number(content)
        elif index == 3:  # noqa: PLR2004 - TensorInfo.tensor_shape
            shape = _shape(message(content))
    return dtype_name(dtype), shape


def _shape(data: bytes) -> list[int | None] | None:
    dims: list[int | None] = []
    for index, content in fields(data):
        if index == _MAX_UNKNOWN_RANK and content:
            return None
        if index == 2:  # noqa: PLR2004 - TensorShapeProto.dim
            dims.append(_dim(content))
    return dims


def _dim(value: Value) -> int | None:
    size = next((signed(number(v)) for index, v in fields(message(value)) if index == 1), 0)
    return None if size < 0 else size
