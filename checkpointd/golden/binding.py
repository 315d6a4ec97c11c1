"""What binds a checkpoint to its golden record, and what its file was when it was saved.

Standard library only (h5py where a file is HDF5), Python 3.9.
"""

from __future__ import annotations

import os
import zipfile
import zlib

from checkpointd.core.format_specs import GOLDEN_DIRECTORY, GOLDEN_NAME, GOLDEN_SUFFIX, Format

SAVE_ID_ATTRIBUTE = "checkpointd_save_id"
"""The root attribute that binds an HDF5 file to its record."""

ZIP_COMMENT_PREFIX = b"checkpointd-save-id:"
"""What the comment of a `.keras` archive begins with; the save id follows."""

_BLOCK = 1 << 20

_DIRECTORY_TEXTS = ("metadata.json", "config.json")


def path_for(checkpoint_path: str, format: Format) -> str:
    """Return the path of a checkpoint's golden record."""
    keras_directory = format is Format.KERAS and os.path.isdir(checkpoint_path)
    if format is Format.SAVEDMODEL or keras_directory:
        return os.path.join(checkpoint_path, GOLDEN_DIRECTORY, GOLDEN_NAME)
    return checkpoint_path + GOLDEN_SUFFIX


def binding_of(checkpoint_path: str, format: Format) -> str:
    """Read what binds a checkpoint to its record; empty when nothing does.

    It is the save id inside an HDF5 file (in Keras's directory that of the weights) or a zip, and
    otherwise `crc:` and the CRC-32 of `PREFIX.index`, of a `.weights.json`, or of `saved_model.pb`
    and its variables' index together (the graph alone is the same from epoch to epoch).

    Raises:
        OSError: the checkpoint cannot be read.
    """
    if format is Format.SAVEDMODEL:
        graph = os.path.join(checkpoint_path, "saved_model.pb")
        index = os.path.join(checkpoint_path, "variables", "variables.index")
        return _crc_of(graph, *([index] if os.path.exists(index) else []))
    if format is Format.TF_CHECKPOINT:
        return _crc_of(checkpoint_path + ".index")
    if format is Format.KERAS and os.path.isdir(checkpoint_path):
        weights = os.path.join(checkpoint_path, "model.weights.h5")
        return _hdf5_save_id(weights) if os.path.exists(weights) else ""
    if format is Format.KERAS:
        return _zip_save_id(checkpoint_path)
    if checkpoint_path.endswith(".json"):
        return _crc_of(checkpoint_path)
    return _hdf5_save_id(checkpoint_path)


def content_of(checkpoint_path: str, format: Format) -> str:
    """Take the checksum of a file whose format has none for what is beside the weights.

    In HDF5 one flipped bit in the name of a group makes a file that cannot be loaded, with every
    weight in it as it was.

    Returns:
        `crc:` and the CRC-32 of the whole HDF5 file, or of the two texts in a Keras directory;
        empty for the other formats.

    Raises:
        OSError: the checkpoint cannot be read.
    """
    if format is Format.KERAS and os.path.isdir(checkpoint_path):
        return _crc_of(*(os.path.join(checkpoint_path, name) for name in _DIRECTORY_TEXTS))
    if format not in (Format.HDF5, Format.HDF5_WEIGHTS) or checkpoint_path.endswith(".json"):
        return ""
    return _crc_of(checkpoint_path)


def named(crc32: int) -> str:
    """Write a CRC-32 as records hold it."""
    return f"crc:{crc32:08x}"


def _crc_of(*paths: str) -> str:
    checksum = 0
    for path in paths:
        with open(path, "rb") as file:
            for block in iter(lambda: file.read(_BLOCK), b""):
                checksum = zlib.crc32(block, checksum)
    return named(checksum)


def _zip_save_id(path: str) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            comment = archive.comment
    except zipfile.BadZipFile:
        return ""
    if not comment.startswith(ZIP_COMMENT_PREFIX):
        return ""
    return comment[len(ZIP_COMMENT_PREFIX) :].decode("ascii", "replace")


def _hdf5_save_id(path: str) -> str:
    os.environ["HDF5_USE_FILE_LOCKING"] = "FALSE"  # a reader's lock would break the next save
    import h5py

    with h5py.File(path, "r") as file:
        value = file.attrs.get(SAVE_ID_ATTRIBUTE, "")
    return value.decode("ascii", "replace") if isinstance(value, bytes) else str(value)
