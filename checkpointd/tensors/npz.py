"""`model.weights.npz` in a `.keras` archive: what its arrays would take in memory.

Keras without h5py writes its weights so (keras/src/saving/saving_lib.py, NpzIOStore), and reads
them with `numpy.load(allow_pickle=False)`, which allocates whatever shape a header declares.
"""

from __future__ import annotations

import math
import zipfile
import zlib
from typing import IO, TYPE_CHECKING

import numpy as np

from checkpointd.formats import FormatError

if TYPE_CHECKING:
    from checkpointd.tensors.window import Window

_MAX_ARRAYS = 100_000


def array_bytes(window: Window, name: str) -> int:
    """Add up what the arrays in an `.npz` declare, and what its members declare.

    Args:
        window: the file in the archive.
        name: what it is called there.

    Raises:
        FormatError: it is no such file, or holds Python objects.
        OSError: it could not be read.
    """
    total = 0
    try:
        with zipfile.ZipFile(window) as archive:
            members = archive.infolist()
            if len(members) > _MAX_ARRAYS:
                raise FormatError("malformed", f"{name} holds {len(members)} arrays, far too many.")
            for member in members:
                with archive.open(member) as file:
                    total += max(member.file_size, _declared(file, f"{member.filename} in {name}"))
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, ValueError, zlib.error) as error:
        raise FormatError(
            "malformed", f"{name} is no file of arrays: {str(error)[:200]}."
        ) from None
    return total


def _declared(file: IO[bytes], name: str) -> int:
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0
    shape, _, dtype = (read if version == (1, 0) else np.lib.format.read_array_header_2_0)(file)
    if dtype.hasobject:
        raise FormatError("malformed", f"{name} holds Python objects, which only a pickle stores.")
    return math.prod(shape) * dtype.itemsize
