"""HDF5: values in other files, and shapes far beyond what is stored.

CVE-2026-1669 (external storage, external links and virtual datasets read the bytes of a foreign
file as weights), CVE-2026-0897 and CVE-2026-12570 (a few bytes that declare gigabytes).

A checkpoint is a bomb when all its datasets together declare more than `most_unpacked` allows for
its bytes on disk (a hundred times them, and 256 MiB in any case), or when more than 16 MiB of what
they declare was never written. The total counts: many datasets below a bound do not
pass, and moments of zeros that compress a thousandfold beside ordinary weights do. What was never
written may still be written: there is no verdict before the writer is overdue. Chunks count whole,
however little of them a dataset uses. Keras writes every value of every dataset, and compresses
none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from checkpointd.core.expansion import most_unpacked
from checkpointd.verify.scan.findings import BOMB, FOREIGN_REFERENCE, Finding
from checkpointd.verify.scan.structure import plan_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from checkpointd.verify.scan.scan_context import ScanContext

_NEVER_WRITTEN = 16 << 20


def findings(context: ScanContext) -> Iterator[Finding]:
    """Judge the HDF5 files of a checkpoint or inside one: sizes, and references to other files."""
    planned = plan_of(context)
    if planned is None:
        return
    for name, layout in planned.layouts:
        beside = f" in {name}" if name else ""
        for reference in layout.foreign:
            yield Finding(
                FOREIGN_REFERENCE,
                f"{reference.key!r}{beside} {reference.what}: it is not read. A checkpoint holds "
                "its own values; do not load this one, and ask where it came from.",
                where=f"{name}:{reference.key}" if name else reference.key,
                what=reference.what,
                in_weights=True,
            )
    stored = context.request.generation.size_bytes
    unpacked = planned.unpacked_bytes + sum(layout.surplus for _, layout in planned.layouts)
    if unpacked > most_unpacked(stored):
        yield Finding(
            BOMB,
            f"It declares {unpacked:,} bytes and has {stored:,} on disk: loading it "
            "would exhaust memory. If it is sound, save it uncompressed.",
            what=f"{unpacked} bytes",
            in_weights=True,
        )
    empty = sum(layout.unallocated for _, layout in planned.layouts)
    if empty > _NEVER_WRITTEN:
        context.incomplete = context.incomplete or "Its datasets are there, and not their values."
        yield Finding(
            BOMB,
            f"Its datasets declare {empty:,} bytes that were never written: loading it would fill "
            "memory with nothing. It is a save that was cut short, or made to do harm.",
            what=f"{empty} bytes",
            in_weights=True,
        )
