"""`fingerprint.pb`: hashes of a SavedModel's graph and variables, made by its writer.

Source: tensorflow/core/protobuf/fingerprint.proto and tensorflow/cc/saved_model/fingerprinting.cc.
Recomputed here, exactly and without TensorFlow:

- `checkpoint_hash`: Fingerprint64 of `variables/variables.index`, which holds a CRC32C of every
  tensor. It differs when the variables come from another save, which TensorFlow does not notice.
- `saved_model_checksum`: Fingerprint64 of the whole `saved_model.pb` (`canonical`).

Not recomputed: the hashes of parts of the graph, which the checksum of the whole covers; and the
checksum of a graph in chunks (`saved_model.cpb`) or of a version of TensorFlow that is newer than
the one that this was tested with, which may have other maps.
"""

from __future__ import annotations

from dataclasses import dataclass

from checkpointd.formats.protobuf import fields
from checkpointd.tensors.source import opened
from checkpointd.verify.keras_files.origin import release
from checkpointd.verify.scan.canonical import SAVED_MODEL, canonical
from checkpointd.verify.scan.farmhash import fingerprint64

MAX_HASHED = 32 << 20
"""Bytes of the largest file that is hashed: that is slow in Python."""

LATEST_TESTED = (2, 21)
"""The TensorFlow that this was tested with."""

_CHECKSUM, _CHECKPOINT_HASH, _VERSION = 1, 5, 6
_PRODUCER = 1
_PRODUCER_OF_CHECKSUM = 1


@dataclass(frozen=True)
class Comparison:
    """The names of the fingerprints that match, and of those that differ."""

    matching: tuple[str, ...]
    differing: tuple[str, ...]


def compare(directory: str, tensorflow_version: str) -> Comparison:
    """Recompute fingerprints, and compare them with `fingerprint.pb`.

    Args:
        directory: of a SavedModel that has a `fingerprint.pb`.
        tensorflow_version: of its writer, from `saved_model.pb`.

    Raises:
        FormatError: `fingerprint.pb` or `saved_model.pb` is damaged.
        OSError: a file could not be read.
    """
    recorded = dict(fields(_content(f"{directory}/fingerprint.pb") or b""))
    version = recorded.get(_VERSION)
    producer = dict(fields(version)).get(_PRODUCER, 0) if isinstance(version, bytes) else 0
    computed = {
        "checkpoint_hash": (_CHECKPOINT_HASH, _content(f"{directory}/variables/variables.index"))
    }
    hashes_whole = isinstance(producer, int) and producer >= _PRODUCER_OF_CHECKSUM
    if hashes_whole and _known(tensorflow_version):
        graph = _content(f"{directory}/saved_model.pb")
        sorted_graph = None if graph is None else canonical(graph, SAVED_MODEL)
        computed["saved_model_checksum"] = (_CHECKSUM, sorted_graph)
    known = {
        name: recorded[number] == fingerprint64(data)
        for name, (number, data) in computed.items()
        if data is not None and number in recorded
    }
    return Comparison(
        tuple(name for name, same in known.items() if same),
        tuple(name for name, same in known.items() if not same),
    )


def _known(version: str) -> bool:
    return () < release(version) <= LATEST_TESTED


def _content(path: str) -> bytes | None:
    """Read a file; None if it does not exist, or is too large to be hashed."""
    try:
        with opened(path) as source:
            return source.read(0, source.size) if source.size <= MAX_HASHED else None
    except FileNotFoundError:
        return None
