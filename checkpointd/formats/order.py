"""In which order writers write, as modification times tell it: has what comes last followed?

Source: the measured write orders (DESIGN, "Measured facts"): a bundle's shards before its index
and TF 1's graph after it; a SavedModel's variables and assets before `saved_model.pb`, then
`fingerprint.pb`, then Keras 2's `keras_metadata.pb`; in Keras 3's directory the weights last.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from checkpointd.core.checkpoint import Format

if TYPE_CHECKING:
    from checkpointd.core.checkpoint import Generation

_BUNDLE = (r"\.data-\d{5}-of-\d{5}", r"\.index", r"\.meta")
_SAVEDMODEL = (
    r"(?s)/variables/variables\.data-\d{5}-of-\d{5}|/assets/.+",
    r"/variables/variables\.index",
    r"/saved_model\.pb(?:txt)?",
    r"/fingerprint\.pb",
    r"/keras_metadata\.pb",
)
_KERAS = (r"/(?:metadata|config)\.json", r"/model\.weights\.(?:h5|npz)")
_ORDERS = {
    Format.KERAS: tuple(re.compile(pattern) for pattern in _KERAS),
    Format.SAVEDMODEL: tuple(re.compile(pattern) for pattern in _SAVEDMODEL),
    Format.TF_CHECKPOINT: tuple(re.compile(pattern) for pattern in _BUNDLE),
}


def has_followed(generation: Generation, format: Format) -> bool:  # noqa: A002 - INTERFACE's word
    """Say whether no member is older than one that its writer writes before it.

    Where one is, a save over the old one may be under way: what does not fit together now may
    do so as soon as the rest has followed. Files that are replaced as a whole always have.
    """
    newest = 0
    for pattern in _ORDERS.get(format, ()):
        times = [m.mtime_ns for m in generation.members if pattern.fullmatch(m.name)]
        if times and min(times) < newest:
            return False
        newest = max([newest, *times])
    return True
