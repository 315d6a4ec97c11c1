"""What inside a SavedModel is no member of it: names of known writers that have not finished.

The same rule as `checkpointd.formats.names` has, which made the generation that is compared here:
this room may not import that one, and a unit test holds both together.
"""

from __future__ import annotations

import re

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
