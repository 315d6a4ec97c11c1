"""Archives and maps of shards: names that lead out of the directory that they are unpacked to.

CVE-2026-12479 and GHSA-hqp4-2352-xf5r. An ambiguous archive (duplicate names, shared bytes,
contradicting headers) is malformed already; its unpacked size is judged together with the HDF5
files in it (`hdf5`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from checkpointd.formats import bounded_json, sharded
from checkpointd.formats.keras import read_member
from checkpointd.verify.scan.findings import TRAVERSAL, Finding
from checkpointd.verify.scan.structure import plan_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from checkpointd.tensors import keras_zip
    from checkpointd.verify.scan.scan_context import ScanContext

_MAP = "model.weights.json"


def findings(context: ScanContext) -> Iterator[Finding]:
    """Judge the names in a `.keras` archive, and in a map of sharded weights."""
    planned = plan_of(context)
    if planned is None:
        return
    if planned.archive is not None:
        for name, how in planned.archive.archive.escapes:
            yield Finding(
                TRAVERSAL,
                f"The archive's entry {name!r} {how}: unpacking it would write outside of its "
                "directory. Do not load it.",
                where=name,
                what=how,
            )
        yield from _shards(_map_inside(planned.archive), _MAP)
    elif planned.path.endswith(sharded.EXTENSION):
        yield from _shards(sharded.read_names(planned.path), "the map of the weights")


def _map_inside(planned: keras_zip.ArchivePlan) -> tuple[str, ...]:
    member = planned.archive.member(_MAP)
    if member is None:
        return ()
    content: Any = bounded_json.parse(
        read_member(planned.path, member, bounded_json.MAX_BYTES), _MAP
    )
    weights = content.get("weight_map") if isinstance(content, dict) else None
    values = weights.values() if isinstance(weights, dict) else ()
    return tuple(
        {
            str(name): None
            for value in values
            for name in (value if isinstance(value, list) else [value])
        }
    )


def _shards(names: tuple[str, ...], where: str) -> Iterator[Finding]:
    for name in filter(sharded.leaves, names):
        yield Finding(
            TRAVERSAL,
            f"{where} names the shard {name!r}, which is no file beside it: it would be read "
            "from elsewhere. Do not load it.",
            where=where,
            what=name,
        )
