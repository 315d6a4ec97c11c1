"""What on disk is a checkpoint, of which format, and whether it is complete.

`recognise` looks at names, `probe` at no more than 4 KiB of each member: both are the daemon's.
What reads whole indexes and directories (`table`, `tf_checkpoint`, `keras`, `savedmodel`) is for
a child process. Standard library only, Python 3.9; nothing is ever written, locked or mapped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from checkpointd.core.lazy_names import importer_of
from checkpointd.formats.facts import (
    Candidate,
    FormatError,
    Probe,
    ProbeState,
    Recognised,
)
from checkpointd.formats.members import member_path
from checkpointd.formats.names import is_left_out
from checkpointd.formats.recognise import generation_of, recognise
from checkpointd.formats.storage import LOCAL, Entry, Stat, Storage
from checkpointd.formats.temporaries import temporaries

if TYPE_CHECKING:
    from checkpointd.formats.locating import locate
    from checkpointd.formats.order import has_followed
    from checkpointd.formats.probing import probe

_MODULE = {"has_followed": "order", "locate": "locating", "probe": "probing"}

__all__ = [
    "LOCAL",
    "Candidate",
    "Entry",
    "FormatError",
    "Probe",
    "ProbeState",
    "Recognised",
    "Stat",
    "Storage",
    "generation_of",
    "has_followed",
    "is_left_out",
    "locate",
    "member_path",
    "probe",
    "recognise",
    "temporaries",
]

__getattr__ = importer_of(__name__, _MODULE)
