"""Rows: reading large checkpoints, and the one-shot `verify`."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from tests.bench.place import python
from tests.bench.row import Measured, Row, faster, median

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.bench.place import Place

_SCANS = (
    ("large-ckpt", 2048, "crc32c", "google-crc32c", 0.7),
    ("large.h5", 1024, "h5", "h5py reads and isfinite", 2),
    ("large.keras", 1024, "keras", "testzip, h5py reads and isfinite", 8),
)


def scan(place: Place) -> Sequence[Measured]:
    """The scan of large checkpoints, against what a person would run over the same bytes."""
    found = []
    for name, mebibytes, kind, words, least in _SCANS:
        path = place.model(name, mebibytes)
        theirs = median(place.seconds("yardsticks", kind, path))
        *seconds, grown = place.seconds("scanning", path)
        size = f"{mebibytes * place.scale / 1024:g} GiB"
        what = f"scan of {size} {path.suffix or 'checkpoint'} against {words}"
        found.append(faster(what, median(seconds), theirs, least))
        found.append(Measured(f"memory that this scan takes, {size}", grown, "MiB", 64))
    return found


def one_shot(place: Place) -> Sequence[Measured]:
    """`verify` of a checkpoint without a builder, over its scan alone."""
    path = place.model("large-ckpt", 2048)
    *scans, _ = place.seconds("scanning", path)
    seconds = []
    for _ in range(place.turns):
        began = time.perf_counter()
        python(["-m", "checkpointd", "verify", "--json", str(path)])
        seconds.append(time.perf_counter() - began)
    ours, theirs = median(seconds), median(scans)
    facts = {"verify": ours, "scan": theirs, "python": sys.version.split()[0]}
    what = "one-shot verify of a bundle, seconds over its scan"
    return [Measured(what, ours - theirs, "s", 0.3, facts=facts)]


ROWS = (Row("scan", scan), Row("one_shot", one_shot))
