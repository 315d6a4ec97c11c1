"""What in a checkpoint's directory is no member of it: temporary names, and what is not its part.

The same rules as `checkpointd.formats.names` has, which made the generation that is compared here:
this room may not import that one, and a unit test holds both together.
"""

from __future__ import annotations

import re

from checkpointd.core.checkpoint import Format
from checkpointd.retention.references import TRASH

_FILES = re.compile(
    r"""(?sx)
      .+\.tempstate\d+
    | .+\.tmp[0-9a-f]{32}
    | \.checkpointd-tmp-.+
    | \.goutputstream-[A-Za-z0-9]{6}
    | \..+\.[A-Za-z0-9]{6}
    | .+\.[0-9a-z]{8}\.partial
    | .+_\.gstmp
    | \.nfs[0-9a-f]{16,}
    | \.fuse_hidden[0-9a-f]{16,}
    """
)
_DIRECTORIES = re.compile(
    r"""(?sx)
      .+\.orbax-checkpoint-tmp(?:-\d+)?
    | \.checkpointd-tmp-.+
    | \.~tmp~
    | \.rsync-partial
    """
)
_BUNDLE_DIRECTORY = re.compile(r"(?s).+_temp(?:_[0-9a-f]{32})?")
_BUNDLE_PART = re.compile(r"part-\d{5}-of-\d{5}(?:\..+)?")

_SAVEDMODEL_PARTS = frozenset(
    {
        *("variables", "assets", "assets.extra", "debug"),
        *("fingerprint.pb", "keras_metadata.pb", "saved_model.cpb"),
    }
)
_SAVEDMODEL_GRAPH = "saved_model.pb"
_MODEL_NAMES = (".keras", ".h5", ".hdf5", ".weights.json")
_KERAS_PARTS = frozenset(
    {
        *("config.json", "metadata.json", "model.weights.h5", "model.weights.npz"),
        *("assets", "assets.extra"),
    }
)


def belongs(name: str, format: Format) -> bool:  # noqa: A002 - INTERFACE's word
    """Whether a name at the top of a checkpoint's directory is a part of it.

    Args:
        name: a file's or a directory's own name.
        format: the checkpoint's: a SavedModel or Keras's directory.
    """
    if format is Format.KERAS:
        return name in _KERAS_PARTS
    if name in _SAVEDMODEL_PARTS:
        return True
    return name.startswith(_SAVEDMODEL_GRAPH) and not name.lower().endswith(_MODEL_NAMES)


def is_temporary_member(name: str, directory: str) -> bool:
    """Whether a file is none of the checkpoint's.

    Args:
        name: the file's own name.
        directory: the own name of the directory that it lies in.
    """
    if _FILES.fullmatch(name):
        return True
    return bool(_BUNDLE_PART.fullmatch(name) and _BUNDLE_DIRECTORY.fullmatch(directory))


def is_temporary_directory(name: str) -> bool:
    """Whether nothing below a directory of such a name belongs to the checkpoint."""
    return name == TRASH or _DIRECTORIES.fullmatch(name) is not None
