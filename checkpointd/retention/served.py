"""Which versions TensorFlow Serving serves; pure.

Of a directory with numeric version directories it serves the one with the highest number, whatever
the times are (`Latest` in tensorflow_serving/config/file_system_storage_path_source.proto).
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from checkpointd.core.format_specs import Format
from checkpointd.ledger import State

if TYPE_CHECKING:
    from collections.abc import Iterable

    from checkpointd.ledger import Entry

_VERSION = re.compile(r"[0-9]+", re.ASCII)


def served_versions(entries: Iterable[Entry]) -> frozenset[int]:
    """The ids of the highest version in each directory, and of its highest valid one.

    A server that cannot load the highest goes on serving the one that it has loaded before.
    """
    highest = dict[tuple[str, bool], tuple[int, int]]()
    for entry in entries:
        if entry.checkpoint.format is not Format.SAVEDMODEL:
            continue
        directory, name = os.path.split(entry.path)
        if not _VERSION.fullmatch(name):
            continue
        for is_valid in {False, entry.state is State.VALID}:
            key = directory, is_valid
            highest[key] = max(highest.get(key, (-1, 0)), (int(name), entry.id))
    return frozenset(id_ for _, id_ in highest.values())
