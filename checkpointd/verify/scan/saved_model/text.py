"""`saved_model.pbtxt` to the bytes of `saved_model.pb`, by the parser that TensorFlow uses.

TensorFlow's Python parses such a file with `google.protobuf.text_format`
(tensorflow/python/saved_model/loader_impl.py). Its message classes are plain Python: they are
imported without the package around them, so no native code of TensorFlow is loaded.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
from typing import Any

_PACKAGE, _MESSAGES = "tensorflow", "tensorflow.core.protobuf.saved_model_pb2"
_FIELDS = frozenset({"saved_model_schema_version", "meta_graphs"})
_OTHERS = {
    "item": "an object detection's label map",
    "model": "the configuration of a training pipeline",
    "train_config": "the configuration of a training pipeline",
    "node": "a graph without a SavedModel around it (a GraphDef)",
    "versions": "a graph without a SavedModel around it (a GraphDef)",
    "library": "a graph without a SavedModel around it (a GraphDef)",
    "graph_def": "one graph without a SavedModel around it (a MetaGraphDef)",
    "meta_info_def": "one graph without a SavedModel around it (a MetaGraphDef)",
    "model_checkpoint_path": "the state file of a training job",
    "layer": "a Caffe network",
    "feature": "a schema of TensorFlow Metadata",
}
"""What a text is that begins with such a field, which no SavedModel has."""

_HEAD = 4096
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1f]")
_FIRST_NAME = re.compile(rb"(?:\s|#[^\n]*\n)*([A-Za-z_]\w*)")
_QUOTED = re.compile(rb"""#[^\n]*|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'""")


class NotParsedError(ValueError):
    """The text is malformed, or cannot be parsed here; the clause explains why."""


class CutShortError(NotParsedError):
    """The text ends within a message."""


def not_a_savedmodel(text: bytes) -> str:
    """Return what a text is if it is certainly not a SavedModel; empty otherwise."""
    if not text.strip():
        return "empty"
    if _CONTROL.search(text[:_HEAD]):
        return "no text: a binary SavedModel is called saved_model.pb"
    first = _FIRST_NAME.match(text)
    if first is None:
        return "no text of a protocol buffer"
    name = first[1].decode()
    if name in _OTHERS:
        return _OTHERS[name]
    try:
        text.decode("utf-8")
    except UnicodeDecodeError:
        return "no text in UTF-8, and TensorFlow reads no other"
    return "" if name in _FIELDS else f"no SavedModel: one has no field {name[:40]!r}"


def encode(text: bytes) -> bytes:
    """Parse a SavedModel's text, and encode it as `saved_model.pb` is.

    A field that is not known is refused, as TensorFlow refuses it. protobuf can skip such fields,
    but takes time quadratic in the length of a line for that.

    Raises:
        CutShortError: it ends too early.
        NotParsedError: it is malformed, or there is no TensorFlow whose messages it could fill.
    """
    parse, model = _parser()
    try:
        parse(text.decode("utf-8"), model)
        return bytes(model.SerializeToString(deterministic=True))
    except MemoryError:
        raise
    except Exception as error:  # a RecursionError too: whatever the parser raises, it is refused
        unquoted = _QUOTED.sub(b"", text)
        opened, closed = (sum(map(unquoted.count, marks)) for marks in (b"{<[", b"}>]"))
        if opened > closed:
            raise CutShortError("it ends within a message") from error
        raise NotParsedError(str(error).rstrip(".")) from error


def _parser() -> tuple[Any, Any]:
    """Return protobuf's parser of text, and an empty SavedModel.

    Raises:
        NotParsedError: TensorFlow or protobuf is not installed.
    """
    before = set(sys.modules)
    try:
        from google.protobuf import text_format

        spec = importlib.util.find_spec(_PACKAGE)
        if spec is None:
            raise NotParsedError(f"{_PACKAGE} is not installed")
        if _PACKAGE not in before:  # an empty package in its directory: its code does not run
            sys.modules[_PACKAGE] = importlib.util.module_from_spec(spec)
        messages = importlib.import_module(_MESSAGES)
    except ImportError as error:
        raise NotParsedError(f"TensorFlow's messages cannot be imported: {error}") from error
    finally:
        if _PACKAGE not in before:  # a user's check may import the real one
            for name in [n for n in sys.modules if n.partition(".")[0] == _PACKAGE]:
                del sys.modules[name]
    return text_format.Parse, messages.SavedModel()
