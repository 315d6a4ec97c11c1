"""The daemon's probe of a candidate: at most 4 KiB of each member, no format is read whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

from checkpointd.core.format_specs import FORMATS, FormatSpec, function, spec_of
from checkpointd.formats import single_files
from checkpointd.formats.storage import LOCAL

if TYPE_CHECKING:
    from checkpointd.formats.facts import Candidate, Probe
    from checkpointd.formats.storage import Storage

_SIGNATURE_BYTES = 64


def probe(candidate: Candidate, storage: Storage = LOCAL) -> Probe:
    """Find out whether a candidate is a checkpoint and whether it is whole.

    A file whose name promises a format and that has none of its marks is incomplete: writers
    truncate first and write the beginning late. What it is instead is the message, if it holds
    anything. Without such a name it is unknown, after one or two small reads.

    Raises:
        OSError: it cannot be read; FileNotFoundError when it went away meanwhile.
    """
    spec = spec_of(candidate.hint) or _by_signature(candidate, storage)
    if spec is None:
        return single_files.probe_unnamed(candidate, storage)
    result: Probe = function(spec.probe)(candidate, storage)
    return result


def _by_signature(candidate: Candidate, storage: Storage) -> FormatSpec | None:
    """Return the format that a file begins like, whatever its name is."""
    if not candidate.generation.size_bytes:
        return None
    head = storage.pread(candidate.path, 0, _SIGNATURE_BYTES)
    return next((s for s in FORMATS if s.signatures and head.startswith(s.signatures)), None)
