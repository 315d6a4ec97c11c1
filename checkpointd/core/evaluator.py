"""A digest of what `evaluate` runs and reads: only values under the same digest are comparable."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from checkpointd.core.verify_settings import Evaluation

_LONGEST_MODULE = 16 * 1024 * 1024


def content_of(evaluation: Evaluation, python_path: Sequence[str]) -> str:
    """A digest of the function's module, or of the data's size and modification time.

    Empty if there is nothing to find: no module of this name in `python_path`. What the module
    imports is not part of it.

    Args:
        evaluation: as configured.
        python_path: the directories in which the user's modules are.

    Raises:
        OSError: something is there and cannot be read, or the data are not there.
    """
    parts = []
    for path in _modules(evaluation.function.partition(":")[0], python_path):
        with open(path, "rb") as file:
            parts.append(hashlib.sha256(file.read(_LONGEST_MODULE)).hexdigest())
        break
    if evaluation.data:
        status = os.stat(evaluation.data)
        parts.append(f"{status.st_size} {status.st_mtime_ns}")
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16] if parts else ""


def _modules(name: str, python_path: Iterable[str]) -> Iterable[str]:
    """The files that a module of this name may be imported from, the first one first."""
    if not name:
        return
    below = os.path.join(*name.split("."))
    for directory in python_path:
        for path in (os.path.join(directory, below, "__init__.py"), f"{directory}/{below}.py"):
            if os.path.isfile(path):
                yield path
