"""The paths that one `checkpoint` state file refers to, or one config of TensorFlow Serving.

What is relative is so to the directory of the file. Because a directory may have been moved or
mounted elsewhere since, every path also counts as far as its last components fit below that
directory: `/old/run/ckpt-7` is `ckpt-7` beside the file, too.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from checkpointd.core.urls import is_url
from checkpointd.formats import LOCAL, state_file
from checkpointd.retention import serving_config

if TYPE_CHECKING:
    from checkpointd.formats import Storage

_LIMIT = 32 * 1024 * 1024
"""How large a state file may be; one that lists 100 000 checkpoints is 6 MB to 20 MB."""

_HEAD = 4096
_CONFIG = 1 << 20


@dataclass(frozen=True)
class StateReferences:
    """What one state file names, or why that cannot be known.

    `latest` is what training would resume from, `listed` everything else that it lists; `saved` are
    the names of each that it lists, in the order in which they were saved, with their `timestamps`
    if it has them, and `written_at` is when the file was last written (seconds since the epoch).
    `is_state_file` is false of a file that only has such a name. `served` are the models that a
    config of TensorFlow Serving names.
    """

    latest: frozenset[str] = frozenset()
    listed: frozenset[str] = frozenset()
    error: str = ""
    is_state_file: bool = True
    saved: tuple[frozenset[str], ...] = ()
    timestamps: tuple[float, ...] = ()
    written_at: float = 0.0
    served: tuple[serving_config.ServedModel, ...] = ()


_OTHER = StateReferences(is_state_file=False)


def read_state_file(path: str, *, must_be_one: bool, storage: Storage = LOCAL) -> StateReferences:
    """Read a state file.

    Args:
        path: of the file.
        must_be_one: whether it must be readable, unless it is clearly something else; else it is
            one if it begins like one, as a Saver's `latest_filename` does.
        storage: where it is.
    """
    try:
        written_at = storage.stat(path).mtime_ns / 1e9
        data = _content(path, storage, must_be_one=must_be_one)
        if data is None:
            served = serving_config.parse(_config(path, storage))
            return StateReferences(served=served) if served else _OTHER
        state = state_file.parse(data)
    except (FileNotFoundError, NotADirectoryError):
        return _OTHER
    except state_file.StateFileError as error:
        return StateReferences(error=str(error))
    except OSError as error:
        if not must_be_one:
            return _OTHER
        return StateReferences(error=f"it cannot be read ({error.strerror})")
    directory = os.path.dirname(path)
    latest = frozenset(_resolved(state.latest, directory))
    saved = tuple(frozenset(_resolved(named, directory)) for named in state.paths)
    listed = frozenset[str]().union(*saved)
    missing = "its end is missing: its list lacks its latest checkpoint" if state.is_cut_off else ""
    return StateReferences(
        latest,
        listed - latest,
        missing,
        saved=saved,
        timestamps=state.timestamps,
        written_at=written_at,
    )


def _config(path: str, storage: Storage) -> bytes:
    """The content of a file that may be a config of TensorFlow Serving; empty if it is none."""
    if not serving_config.may_be_one(os.path.basename(path)):
        return b""
    status = storage.stat(path)
    return storage.pread(path, 0, status.size) if status.is_file and status.size <= _CONFIG else b""


def _content(path: str, storage: Storage, *, must_be_one: bool) -> bytes | None:
    """The content of a state file; None if it is clearly none."""
    status = storage.stat(path)
    if not status.is_file:
        return None
    head = storage.pread(path, 0, _HEAD)
    begins = state_file.begins_like_one(head)
    is_other = status.size > _LIMIT or state_file.is_other_data(head)
    if not begins and (is_other or not must_be_one):
        return None
    if status.size > _LIMIT:
        raise state_file.StateFileError("it is too large")
    return head if status.size <= len(head) else storage.pread(path, 0, status.size)


def _resolved(named: str, directory: str) -> set[str]:
    paths = {named if is_url(named) else os.path.join(directory, named)}
    rest = named
    while rest:
        paths.add(os.path.join(directory, rest))
        _, _, rest = rest.lstrip("/").partition("/")
    return paths
