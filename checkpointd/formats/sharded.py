"""Keras 3's sharded weights: a `.weights.json` that names the HDF5 files beside it.

Source: keras/src/saving/saving_lib.py, ShardedH5IOStore. The map is written last.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from checkpointd.core.format_specs import Format
from checkpointd.formats import bounded_json, content, hdf5
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
from checkpointd.formats.members import member_path
from checkpointd.formats.names import WEIGHTS_MAP
from checkpointd.formats.storage import LOCAL

if TYPE_CHECKING:
    from checkpointd.formats.facts import Candidate
    from checkpointd.formats.storage import Storage

EXTENSION = WEIGHTS_MAP

_TAIL_BYTES = 16
_MOST_BYTES = PROBE_BYTES - content.HEAD_BYTES


def read_shards(path: str, storage: Storage = LOCAL) -> tuple[str, ...]:
    """Read which files a `.weights.json` names, sorted: base names, all in its directory.

    Raises:
        FormatError: it is cut short, or is no such map.
        OSError: it cannot be read.
    """
    names = read_names(path, storage)
    leaving = next((name for name in names if leaves(name)), None)
    if leaving is not None:
        raise FormatError(MALFORMED, f"The map names {leaving!r}, which is no file beside it.")
    return names


def read_names(path: str, storage: Storage = LOCAL) -> tuple[str, ...]:
    """Read every name in a `.weights.json`, sorted; those too that lead elsewhere.

    Raises:
        FormatError: it is cut short, or is no such map.
        OSError: it cannot be read.
    """
    return tuple(sorted(read_places(path, storage)))


def read_places(path: str, storage: Storage = LOCAL) -> dict[str, list[str]]:
    """Read which keys of weights, without slashes at their ends, a map gives to each shard.

    Raises:
        FormatError: it is cut short, or is no such map.
        OSError: it cannot be read.
    """
    size = storage.stat(path).size
    if size > bounded_json.MAX_BYTES:
        raise FormatError(MALFORMED, f"The map of the weights has {size} bytes, far too many.")
    return _places(storage.pread(path, 0, size))


def leaves(name: str) -> bool:
    """Whether a name is that of no file in the map's own directory."""
    return any(c in name for c in "/\\\0") or name in {"", ".", ".."}


def probe(candidate: Candidate, storage: Storage = LOCAL) -> Probe:
    """Return whether sharded weights are whole: the map, and each shard that is beside it.

    Raises:
        OSError: a file cannot be read.
    """
    sizes = {member.name: member.size for member in candidate.generation.members}
    kind = Format.HDF5_WEIGHTS
    try:
        if "" not in sizes:
            raise FormatError(MISSING_MEMBER, "The map of the sharded weights is not there.")  # noqa: TRY301 - one place makes the probe
        named = _named(candidate.path, sizes[""], storage)
        if named is None:
            found_instead = content.of_file(candidate.path, storage)
            if found_instead.stand_in:
                raise content.not_a_checkpoint("The map of the sharded weights", found_instead)
            return unknown(kind, "A JSON file that does not map weights to files.")
        for name in named:  # one that leads elsewhere is never opened: `safety` reports it
            if not leaves(name) and f"/../{name}" not in sizes:
                raise FormatError(MISSING_MEMBER, f"The shard {name!r} is not there.")  # noqa: TRY301 - the same
        for name, size in sizes.items():
            if name and (not named or name[4:] in named):
                _check_shard(member_path(candidate.path, name), name[4:], size, storage)
    except FormatError as error:
        return incomplete(kind, error)
    return complete(kind)


def _named(path: str, size: int, storage: Storage) -> tuple[str, ...] | None:
    """Read which files the map names: none if it is too large, None if it is no such map."""
    if size <= _MOST_BYTES:
        data = storage.pread(path, 0, size)
        try:
            return _parse(data)
        except FormatError as error:
            found = content.of(data[: content.HEAD_BYTES], path)
            if error.word == MALFORMED:
                return None
            if found.description and not data.lstrip().startswith(b"{"):
                raise content.not_a_checkpoint("The map of the sharded weights", found) from None
            raise
    head = storage.pread(path, 0, _MOST_BYTES - _TAIL_BYTES)
    if b'"weight_map"' not in head and head.strip(b"\0"):
        return None
    if not storage.pread(path, size - _TAIL_BYTES, _TAIL_BYTES).rstrip().endswith(b"}"):
        raise FormatError(TRUNCATED, "The map of the sharded weights is cut short.")
    return ()


def _check_shard(path: str, name: str, size: int, storage: Storage) -> None:
    head = storage.pread(path, 0, hdf5.SUPERBLOCK_BYTES)
    if not head.startswith(hdf5.SIGNATURE):
        error = FormatError(TRUNCATED, f"The shard {name!r} has no beginning.")
        raise content.explain_unreadable(error, path, f"The shard {name!r}", storage)
    try:
        hdf5.check_size(0, head, size)
    except FormatError as error:
        raise type(error)(error.word, f"Shard {name!r}: {error.message}") from None


def _parse(data: bytes) -> tuple[str, ...]:
    return tuple(sorted(_places(data)))


def _places(data: bytes) -> dict[str, list[str]]:
    """Return the keys that the map gives to each shard."""
    try:
        content = bounded_json.parse(data, "The map of the sharded weights")
    except FormatError:
        if data.rstrip().endswith(b"}"):
            raise
        raise FormatError(TRUNCATED, "The map of the sharded weights is cut short.") from None
    weights = content.get("weight_map") if isinstance(content, dict) else None
    if not isinstance(weights, dict):
        raise FormatError(MALFORMED, "The map of the sharded weights has no weight_map.")
    places: dict[str, list[str]] = {}
    for key, value in weights.items():
        for name in value if isinstance(value, list) else [value]:
            if not isinstance(name, str):
                raise FormatError(MALFORMED, f"The map names {name!r}, which is no file beside it.")
            places.setdefault(name, []).append(str(key).strip("/"))
    return places
