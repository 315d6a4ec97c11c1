"""SavedModel directories: a graph in `saved_model.pb`, variables as a tensor bundle, and marks.

Source: the order in which tf.saved_model.save and tf_keras write: `variables/`, `assets/`,
`saved_model.pb`, `fingerprint.pb`, then (tf_keras alone) `keras_metadata.pb`, in place.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from checkpointd.core.format_specs import Format
from checkpointd.formats import content, names
from checkpointd.formats.facts import (
    MISSING_MEMBER,
    NOT_A_CHECKPOINT,
    PROBE_BYTES,
    TRUNCATED,
    UNREADABLE,
    FormatError,
    Probe,
    complete,
    incomplete,
    unknown,
)
from checkpointd.formats.graph import (
    GRAPH,
    META_GRAPH,
    OBJECT_GRAPH,
    SAVER,
    TEXT_GRAPH,
    VARIABLES,
    SavedModelInfo,
    check_variables,
    read_graph,
    root_of,
)
from checkpointd.formats.protobuf import walk
from checkpointd.formats.storage import LOCAL
from checkpointd.formats.tf_checkpoint import explain, probe_bundle
from checkpointd.formats.unfinished import UNFINISHED, is_unfinished

if TYPE_CHECKING:
    from collections.abc import Mapping

    from checkpointd.core.checkpoint import Member
    from checkpointd.formats.facts import Candidate
    from checkpointd.formats.storage import Storage

__all__ = [
    "FINGERPRINT",
    "GRAPH",
    "KERAS_METADATA",
    "VARIABLES",
    "WARMUP_REQUESTS",
    "SavedModelInfo",
    "check_variables",
    "probe",
    "read_graph",
]

FINGERPRINT = "/fingerprint.pb"
KERAS_METADATA = "/keras_metadata.pb"
WARMUP_REQUESTS = "/assets.extra/tf_serving_warmup_requests"

_FIELD = re.compile(rb"[A-Za-z_]\w* *: *[^\s{<\[]+\s*(?:#.*)?$")
"""A line of a text that is a field of the outermost message."""

KERAS_ROOT = "_tf_keras_"
"""How the identifier of the root object begins in what Keras 2 saved."""


def probe(candidate: Candidate, storage: Storage = LOCAL) -> Probe:
    """Return whether a directory is a whole SavedModel.

    It is certain when `fingerprint.pb` is there, not older than the graph and the variables, and
    the root object in the graph is none of Keras 2's, or else a whole `keras_metadata.pb` is there
    that is not older either. `tf.saved_model.save` of a Keras 2 model writes no such file, and
    TensorFlow before 2.11 no fingerprint: those settle by time.

    Raises:
        OSError: it cannot be read.
    """
    members = {member.name: member for member in candidate.generation.members}
    try:
        _check_presence(members)
        if GRAPH not in members:
            if TEXT_GRAPH in members:
                return _probe_text(candidate.path, members, storage)
            return unknown(Format.SAVEDMODEL, "A SavedModel in TensorFlow's image format (.cpb).")
        info = _probe_graph(candidate.path + GRAPH, members[GRAPH].size, storage)
        bundle = _probe_variables(candidate.path, members, storage)
        missing = check_variables(info, members)
        if missing is not None:
            raise missing
    except FormatError as error:
        if error.word == UNREADABLE:
            return complete(Format.SAVEDMODEL)
        return incomplete(Format.SAVEDMODEL, error)
    certain = bundle and _marked(candidate.path, members, info.root, storage)
    return complete(Format.SAVEDMODEL, certain=certain)


def _check_presence(members: Mapping[str, Member]) -> None:
    graphs = [member for name in names.GRAPH_FILES if (member := members.get("/" + name))]
    if not graphs:
        if is_unfinished(members):
            raise FormatError(MISSING_MEMBER, UNFINISHED)
        raise FormatError(
            MISSING_MEMBER, "saved_model.pb is not there: it is written after the variables."
        )
    if not any(member.size for member in graphs):
        raise FormatError(TRUNCATED, "saved_model.pb is empty.")


def _probe_text(path: str, members: Mapping[str, Member], storage: Storage) -> Probe:
    size = members[TEXT_GRAPH].size
    begins = max(0, size - PROBE_BYTES // 2)
    lines = storage.pread(path + TEXT_GRAPH, begins, PROBE_BYTES // 2).splitlines()
    code = [line for line in lines if line.strip() and not line.lstrip().startswith(b"#")]
    last = code[-1] if code else b""
    binary = b"\0" in storage.pread(path + TEXT_GRAPH, 0, min(size, PROBE_BYTES // 2))
    if not (binary or last.rstrip().endswith((b"}", b">", b"]")) or _FIELD.match(last)):
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
        explained = explain(error, path + VARIABLES, parts, storage)
        raise FormatError(explained.word, f"variables: {explained.message}") from None


def _probe_graph(path: str, size: int, storage: Storage) -> SavedModelInfo:
    """Check that the graph ends where its lengths put the end, and collect facts on the way.

    When the root object is too far to be read, it counts as one of Keras 2's.

    Raises:
        FormatError: the graph is cut short.
    """
    reader = _Budget(path, storage)
    root, saver, begun, other = KERAS_ROOT, False, False, False
    try:
        for top in walk(reader, 0, size):
            begun |= top.number == META_GRAPH
            other |= top.number > META_GRAPH
            for part in walk(reader, top.start, top.end) if top.number == META_GRAPH else ():
                saver |= part.number == SAVER
                if part.number == OBJECT_GRAPH:
                    root = root_of(reader, part)
    except _BudgetError:
        pass
    except FormatError as error:
        raise content.explain_unreadable(_broken(error), path, "saved_model.pb", storage) from None
    if not begun:
        wrong = FormatError(TRUNCATED, "saved_model.pb ends before its graph.")
        if other:
            message = "saved_model.pb is no SavedModel: it holds no graph."
            wrong = FormatError(NOT_A_CHECKPOINT, message)
        raise content.explain_unreadable(wrong, path, "saved_model.pb", storage)
    return SavedModelInfo(has_saver=saver, root=root)


def _broken(error: FormatError) -> FormatError:
    if error.word == TRUNCATED:
        return FormatError(TRUNCATED, f"saved_model.pb: {error.message}")
    return FormatError(
        error.word,
        "saved_model.pb is no protocol buffer, as that of a SavedModel is: its bytes were changed, "
        f"or it is another file ({error.message.rstrip('.')}).",
    )


def _marked(path: str, members: Mapping[str, Member], root: str, storage: Storage) -> bool:
    """Return whether the marks are there that the writer leaves last, newer than what they mark."""
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
    """Reads a file until no more may be read than shows what it is otherwise."""

    def __init__(self, path: str, storage: Storage) -> None:
        self._path = path
        self._storage = storage
        self._left = PROBE_BYTES - content.HEAD_BYTES

    def __call__(self, offset: int, size: int) -> bytes:
        self._left -= size
        if self._left < 0:
            raise _BudgetError
        return self._storage.pread(self._path, offset, size)
