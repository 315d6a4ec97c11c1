"""In which order writers write, as modification times show it: has what comes last followed?

And in which order a copy is to be written, so that no reader takes half of one for a checkpoint.

Source: the measured write orders in the architecture page, which the formats' rows hold: a
bundle's shards before its index and TF 1's graph after it; a SavedModel's variables and assets
before `saved_model.pb`, then `fingerprint.pb`, then Keras 2's `keras_metadata.pb`; in Keras 3's
directory the weights last.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from checkpointd.core.format_specs import spec_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from checkpointd.core.checkpoint import Generation
    from checkpointd.core.format_specs import Format


def has_followed(generation: Generation, format: Format) -> bool:
    """Return whether no member is older than one that its writer writes before it.

    Where one is, a save over the old one may be under way: what does not fit together now may
    do so as soon as the rest has followed. Files that are replaced as a whole always have.
    """
    newest = 0
    spec = spec_of(format)
    for pattern in spec.write_order if spec else ():
        times = [m.mtime_ns for m in generation.members if re.fullmatch(pattern, m.name)]
        if times and min(times) < newest:
            return False
        newest = max([newest, *times])
    return True


def copy_order(names: Iterable[str], format: Format) -> list[str]:
    """Return the names of members with the one last that makes a checkpoint of the others.

    As long as that one is missing, no reader takes what is there for a checkpoint. It is the
    file itself where there is one, the map of a sharded `.weights.json` included.
    """
    spec = spec_of(format)
    deciding = spec.deciding if spec else ""

    def is_last(name: str) -> bool:
        return not name or re.fullmatch(deciding, name) is not None

    return sorted(names, key=lambda name: (is_last(name), name))
