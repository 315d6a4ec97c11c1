"""A private copy of a checkpoint that changes too often to be verified in place.

Made by a child, so that only the child waits for a disk that hangs. Python 3.9.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Any

import numpy as np

from checkpointd import golden
from checkpointd.core.encode import to_json
from checkpointd.core.request import End
from checkpointd.formats import generation_of, member_path
from checkpointd.tensors.source import opened
from checkpointd.tensors.stream import BLOCK

if TYPE_CHECKING:
    from checkpointd.core.request import Request

_SPARE_BYTES = 256 << 20
"""Free space that a copy leaves on its file system."""


def copy(request: Request, directory: str) -> dict[str, Any]:
    """Copy every member, with its times, and the golden record beside it.

    Args:
        request: which generation of which checkpoint.
        directory: an empty one for the copy, which keeps the checkpoint's name.

    Returns:
        `end` (DONE or SUPERSEDED), `message`, and where it is DONE the copy's `generation`.

    Raises:
        OSError: reading the checkpoint or writing the copy failed.
    """
    source, generation = request.checkpoint.path, request.generation
    free = os.statvfs(directory)
    if generation.size_bytes + _SPARE_BYTES > free.f_bavail * free.f_frsize:
        return _superseded("It changed while it was read, and there is no disk space for a copy.")
    target = os.path.join(directory, os.path.basename(source))
    try:
        for member in generation.members:
            _copy_file(member_path(source, member.name), member_path(target, member.name))
            times = (member.mtime_ns, member.mtime_ns)
            os.utime(member_path(target, member.name), ns=times)
        record = golden.path_for(source, request.checkpoint.format)
        with contextlib.suppress(FileNotFoundError):
            if not os.path.exists(golden.path_for(target, request.checkpoint.format)):
                _copy_file(record, golden.path_for(target, request.checkpoint.format))
        if generation_of(source, request.checkpoint.format).identity != generation.identity:
            return _superseded("It changed while it was copied.")
    except (FileNotFoundError, NotADirectoryError):
        return _superseded("It was removed while it was copied.")
    made = generation_of(target, request.checkpoint.format)
    return {"end": str(End.DONE), "message": "", "generation": to_json(made)}


def _superseded(message: str) -> dict[str, Any]:
    return {"end": str(End.SUPERSEDED), "message": message}


def _copy_file(source: str, target: str) -> None:
    os.makedirs(os.path.dirname(target), exist_ok=True)
    buffer = np.empty(BLOCK, np.uint8)
    with opened(source) as file, open(target, "wb") as copied:
        for start in range(0, file.size, BLOCK):
            window = buffer[: min(BLOCK, file.size - start)]
            file.read_into(window, start)
            copied.write(window.data)
