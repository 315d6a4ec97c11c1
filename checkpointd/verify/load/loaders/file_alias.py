"""Another name for a file while Keras reads it, without leaving anything beside the file."""

from __future__ import annotations

import contextlib
import os
import tempfile
from typing import TYPE_CHECKING

from checkpointd.core.format_specs import Format

if TYPE_CHECKING:
    from collections.abc import Iterator

_ENDINGS = {Format.KERAS: ".keras", Format.HDF5: ".h5", Format.HDF5_WEIGHTS: ".weights.h5"}

_DIRECTORY = ".directory"
"""Any ending that Keras does not take for a file's."""


@contextlib.contextmanager
def alias(path: str, format: Format, ending: str = "") -> Iterator[str]:
    """Give a file a name in a temporary directory while Keras reads it.

    Keras chooses its reader by the name's ending, where checkpointd decides by content; and when
    memory is short it unpacks a `.keras` file into the directory of the name that it was given.

    Args:
        path: the file.
        format: of the file.
        ending: the ending to give it, in place of the format's usual one.
    """
    with tempfile.TemporaryDirectory(prefix="checkpointd-") as directory:
        if format is Format.KERAS and os.path.isdir(path):
            ending = _DIRECTORY
        name = os.path.join(directory, "model" + (ending or _ENDINGS[format]))
        os.symlink(os.path.abspath(path), name)
        yield name
