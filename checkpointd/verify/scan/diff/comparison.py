"""Compares two checkpoints for `checkpointd diff`: no TensorFlow, nothing is run, bounded memory.

Each is read once for its statistics; then the tensors whose checksums differ are read side by side.
"""

from __future__ import annotations

import contextlib
import json
import math
from collections import Counter
from typing import TYPE_CHECKING, Any

from checkpointd.core.text import printable
from checkpointd.formats import FormatError, generation_of
from checkpointd.formats.tf_checkpoint import OBJECT_GRAPH
from checkpointd.tensors import MODEL
from checkpointd.tensors.statistics import item_size
from checkpointd.tensors.values import ValueReader
from checkpointd.verify.scan.diff import configuration
from checkpointd.verify.scan.diff.numbers import compare
from checkpointd.verify.scan.diff.pairs import Pair, Tensor, pair
from checkpointd.verify.scan.diff.side import Side, read_side

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from checkpointd.core.request import Request
    from checkpointd.tensors import TensorStats

SAME, DIFFERENT, INCONCLUSIVE = "same", "different", "inconclusive"
_MAX_LISTED_BYTES = 5 << 20
_MAX_SENTENCES = 500
_NAME = 300
_FLOATING = ("float", "bfloat", "complex")
_COUNTERS = frozenset({OBJECT_GRAPH, "save_counter"})
"""What TensorFlow's checkpoints keep beside the tensors."""


def diff(first: Request, second: Request, *, weights_only: bool = False) -> dict[str, Any]:
    """Compare two checkpoints.

    Args:
        first: the one; its settings do not matter.
        second: the other.
        weights_only: compare the model's weights, and nothing else.

    Returns:
        JSON-serialisable facts, as the manual describes them; or `error` and `at_fault`, a path,
        if one of the two cannot be compared.

    Raises:
        OSError: one could not be read.
    """
    sides: list[Side] = []
    with contextlib.ExitStack() as cleanup:
        for request in (first, second):
            try:
                side = read_side(request, weights_only=weights_only)
            except FormatError as error:
                return {"error": error.message, "at_fault": request.checkpoint.path}
            cleanup.callback(side.planned.close)
            sides.append(side)
        facts = _compare(sides[0], sides[1], weights_only=weights_only)
    for request in (first, second):
        now = generation_of(request.checkpoint.path, request.checkpoint.format)
        if now.identity != request.generation.identity:
            path = request.checkpoint.path
            return {"error": "It was written over while it was read.", "at_fault": path}
    return facts


def _compare(first: Side, second: Side, *, weights_only: bool) -> dict[str, Any]:
    same_format = first.planned.format is second.planned.format
    bundles = bool(first.planned.bundles), bool(second.planned.bundles)
    ours, theirs = first.tensors, second.tensors
    if bundles[0] != bundles[1]:  # counters of the container, which the other has no place for
        ours = [t for t in ours if t.key.split("/", 1)[0] not in _COUNTERS]
        theirs = [t for t in theirs if t.key.split("/", 1)[0] not in _COUNTERS]
    pairing = pair(ours, theirs)
    listed = _Listed()
    readers = ValueReader(first.planned), ValueReader(second.planned)
    try:
        rows = [
            _row(p, first, second, readers) for p in pairing.pairs if not _is_graph(p, same_format)
        ]
    finally:
        for reader in readers:
            reader.close()
    changed = [row for row in rows if row["changed"]]
    unread = [row for row in rows if row["unread"]]
    facts: dict[str, Any] = {
        "a": first.facts,
        "b": second.facts,
        "result": "",
        "counts": {
            "same": len(rows) - len(changed) - len(unread),
            "changed": len(changed),
            "appeared": len(pairing.appeared),
            "gone": len(pairing.gone),
            "unclear": len(pairing.unclear[0]) + len(pairing.unclear[1]),
            "not_compared": len(unread),
        },
        "paired_by": dict(Counter(p.by for p in pairing.pairs)),
        "norm": [_norm(first), _norm(second)],
        "difference_norm": _joined(changed),
        "changed": listed.rows([_public(row) for row in changed]),
        "appeared": listed.rows([_only(t, second) for t in pairing.appeared]),
        "gone": listed.rows([_only(t, first) for t in pairing.gone]),
        "unclear": {
            "a": listed.rows([_only(t, first) for t in pairing.unclear[0]]),
            "b": listed.rows([_only(t, second) for t in pairing.unclear[1]]),
        },
        "not_compared": listed.rows([_public(row) for row in unread]),
        "signatures": _signatures(first, second) if not weights_only else _not_compared(""),
        "configuration": _configuration(first, second) if not weights_only else _not_compared(""),
        "problems": [
            {"path": side.planned.path, "message": printable(p.message, 500)}
            for side in (first, second)
            for p in side.contents.problems[:_MAX_SENTENCES]
        ],
    }
    facts["not_listed"] = listed.left_out
    facts["result"] = _result(facts)
    return facts


def _is_graph(pair: Pair, same_format: bool) -> bool:
    """Whether it is the graph of objects of two formats, which differs by their nature."""
    return pair.first.key == OBJECT_GRAPH and not same_format


def _result(facts: Mapping[str, Any]) -> str:
    counts = facts["counts"]
    certain = counts["changed"] + counts["appeared"] + counts["gone"]
    texts = facts["signatures"]["differences"] or facts["configuration"]["differences"]
    if certain or texts:
        return DIFFERENT
    unsure = counts["unclear"] or counts["not_compared"] or facts["problems"]
    return INCONCLUSIVE if unsure else SAME


def _row(
    pair: Pair, first: Side, second: Side, readers: tuple[ValueReader, ValueReader]
) -> dict[str, Any]:
    a, b = first.stats(pair.first), second.stats(pair.second)
    row: dict[str, Any] = {
        "name": _name_of(pair),
        "names": [printable(pair.first.name, _NAME), printable(pair.second.name, _NAME)],
        "paired_by": pair.by,
        "role": pair.first.role,
        "dtype": [a.dtype, b.dtype],
        "shape": [list(a.shape), list(b.shape)],
        "norm": [_norm_of(a), _norm_of(b)],
        "nan": [a.nan, b.nan],
        "inf": [a.inf, b.inf],
        "max_abs_difference": None,
        "max_rel_difference": None,
        "difference_norm": None,
        "differing": None,
        "finiteness_differs": None,
        "changed": (a.dtype, a.shape) != (b.dtype, b.shape),
        "unread": False,
    }
    if a.shape != b.shape:
        return row
    fixed = item_size(a.dtype) is not None
    if a.dtype == b.dtype and fixed and pair.first.content == pair.second.content:
        return row
    if "object" in (a.dtype, b.dtype):
        return {**row, "changed": False, "unread": True}
    difference = compare(
        readers[0].blocks(pair.first.number),
        a.dtype,
        readers[1].blocks(pair.second.number),
        b.dtype,
    )
    row["changed"] = row["changed"] or difference.differing > 0
    if difference.comparable:
        row.update(
            max_abs_difference=difference.absolute,
            max_rel_difference=difference.relative,
            difference_norm=difference.norm,
            differing=difference.differing,
            finiteness_differs=difference.finiteness,
        )
    return row


def _name_of(pair: Pair) -> str:
    """The more telling of two names: one that names the variable rather than numbering it."""
    numbered = "/vars/" in pair.first.name
    return printable(pair.second.name if numbered else pair.first.name, _NAME)


def _public(row: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key not in ("changed", "unread")}


def _only(tensor: Tensor, side: Side) -> dict[str, Any]:
    stats = side.stats(tensor)
    return {
        "name": printable(tensor.name, _NAME),
        "role": tensor.role,
        "dtype": tensor.dtype,
        "shape": list(tensor.shape),
        "norm": _norm_of(stats),
        "nan": stats.nan,
        "inf": stats.inf,
    }


def _norm_of(stats: TensorStats) -> float | None:
    if not stats.dtype.startswith(_FLOATING) or stats.sum_of_squares is None:
        return None
    return math.sqrt(stats.sum_of_squares)


def _norm(side: Side) -> float:
    norms = [_norm_of(side.stats(t)) for t in side.tensors if t.role == MODEL]
    return math.sqrt(math.fsum(n * n for n in norms if n is not None))


def _joined(rows: Sequence[Mapping[str, Any]]) -> float:
    """The norm of the difference of all weights of the model that were compared."""
    return math.sqrt(
        math.fsum((row["difference_norm"] or 0.0) ** 2 for row in rows if row["role"] == MODEL)
    )


class _Listed:
    """Keeps the lists of a large model within one message."""

    def __init__(self) -> None:
        self._left = _MAX_LISTED_BYTES
        self.left_out = 0

    def rows(self, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return as many as fit the limit; count the others."""
        kept = []
        for row in rows:
            self._left -= len(json.dumps(row))
            if self._left < 0:
                break
            kept.append(row)
        self.left_out += len(rows) - len(kept)
        return kept


def _not_compared(note: str) -> dict[str, Any]:
    return {"compared": False, "note": note, "differences": []}


def _compared(differences: list[str]) -> dict[str, Any]:
    left = len(differences) - _MAX_SENTENCES
    note = f"{left} more differences are not listed." if left > 0 else ""
    return {"compared": True, "note": note, "differences": differences[:_MAX_SENTENCES]}


def _signatures(first: Side, second: Side) -> dict[str, Any]:
    if first.signatures is None or second.signatures is None:
        known = first.signatures is not None or second.signatures is not None
        return _not_compared("Only a SavedModel has signatures." if known else "")
    return _compared(configuration.of_signatures(first.signatures, second.signatures))


def _configuration(first: Side, second: Side) -> dict[str, Any]:
    ours, theirs = first.config, second.config
    if not ours.model or not theirs.model:
        known = bool(ours.model) != bool(theirs.model)
        return _not_compared("Only one of the two has a configuration." if known else "")
    same_writer = first.planned.format is second.planned.format and ours.writer == theirs.writer
    differences = configuration.differences(
        ours.model.get("config"), theirs.model.get("config"), "", same_writer=same_writer
    )
    if same_writer or (ours.compile and theirs.compile):
        differences += configuration.differences(
            ours.compile, theirs.compile, "compile", same_writer=same_writer
        )
    return _compared(differences)
