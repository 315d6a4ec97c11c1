"""Which file holds a SavedModel's graphs, and how it is read.

TensorFlow's Python reads `saved_model.pb`, and only where that is not there `saved_model.pbtxt`
(tensorflow/python/saved_model/loader_impl.py); TensorFlow Serving may prefer `saved_model.cpb`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from checkpointd.core.text import printable
from checkpointd.formats.facts import TRUNCATED, FormatError
from checkpointd.formats.graph import GRAPH, IMAGE_GRAPH, TEXT_GRAPH, described
from checkpointd.tensors.source import opened
from checkpointd.verify.scan.saved_model import text as graph_text
from checkpointd.verify.scan.saved_model.meta_graph import read_graphs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from checkpointd.formats.graph import SavedModelInfo
    from checkpointd.verify.scan.saved_model.meta_graph import MetaGraph

_MAX_TEXT = 64 << 20
_MAX_CAUSE = 200


class UninspectableGraphError(Exception):
    """The graphs are in a format that cannot be inspected; the message explains what to do."""

    def __init__(self, message: str, where: str) -> None:
        super().__init__(message)
        self.where = where


def graphs_of(directory: str, members: Mapping[str, int]) -> list[MetaGraph]:
    """Read the graphs of a SavedModel.

    Args:
        directory: of the SavedModel.
        members: the names of its files, with their sizes in bytes.

    Raises:
        UninspectableGraphError: they cannot be inspected.
        FormatError: they are malformed.
        OSError: they cannot be read.
    """
    if IMAGE_GRAPH in members:
        raise UninspectableGraphError(
            "It holds a graph in TensorFlow's image format (saved_model.cpb), which cannot be "
            "inspected: save it without experimental_image_format, into a new directory.",
            IMAGE_GRAPH,
        )
    if GRAPH in members:
        with opened(directory + GRAPH) as source:

            def read(offset: int, size: int) -> bytes:
                return source.read(offset, max(0, min(size, source.size - offset)))

            return read_graphs(read, source.size)
    return graphs_of_bytes(encoded_text(directory, members))


def metadata_of(data: bytes) -> SavedModelInfo:
    """Read the metadata of an encoded SavedModel.

    Raises:
        FormatError: they are malformed.
    """
    return described(lambda offset, size: data[offset : offset + size], len(data))


def graphs_of_bytes(data: bytes) -> list[MetaGraph]:
    """Read the graphs of an encoded SavedModel.

    Raises:
        FormatError: they are malformed.
    """
    return read_graphs(lambda offset, size: data[offset : offset + size], len(data))


def encoded_text(directory: str, members: Mapping[str, int]) -> bytes:
    """Read `saved_model.pbtxt`, and encode it as `saved_model.pb` is.

    Raises:
        UninspectableGraphError: it cannot be parsed.
        FormatError: it is certainly not a SavedModel.
        OSError: it cannot be read.
    """
    if members[TEXT_GRAPH] > _MAX_TEXT:
        raise UninspectableGraphError(_UNREADABLE.format("it is too large"), TEXT_GRAPH)
    with opened(directory + TEXT_GRAPH) as source:
        text = source.read(0, min(source.size, _MAX_TEXT))
    other = graph_text.not_a_savedmodel(text)
    if other:
        raise FormatError("not_a_checkpoint", f"saved_model.pbtxt is {other}.")
    try:
        return graph_text.encode(text)
    except graph_text.CutShortError as error:
        raise FormatError(TRUNCATED, f"saved_model.pbtxt is cut short: {error}.") from None
    except graph_text.NotParsedError as error:
        raise UninspectableGraphError(
            _UNREADABLE.format(printable(str(error), _MAX_CAUSE)), TEXT_GRAPH
        ) from None


def leads_out(filename: str) -> bool:
    """Whether a name of a file in a directory leads out of it."""
    parts = filename.replace("\\", "/").split("/")
    return ".." in parts or filename.startswith("/") or "\0" in filename


_UNREADABLE = (
    "Its saved_model.pbtxt cannot be inspected ({}): write the graph as saved_model.pb, which "
    "is what TensorFlow does unless it is asked for text."
)
