"""`finite`: no NaN and no infinity in any weight of the model, with names and counts if there are.

Variables of the optimizer and others only warn. `ignore_tensors` takes globs over the names that
`checkpointd inspect` shows, and over the names in the container.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from checkpointd.checkpoint import CheckResult, failed, passed, skipped
from checkpointd.tensors import MODEL

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from checkpointd.tensors import TensorStats
    from checkpointd.verify.structure import ScanContext

NAME = "finite"
_SHOWN = 3
_LISTED = 100


def check(context: ScanContext) -> CheckResult:
    """Judge what the pass over the weights has counted."""
    context.laid_out()
    if context.unreadable:
        return skipped(NAME, f"Not read: {context.unreadable}")
    return judge(context.read().tensors, context.request.settings.ignore_tensors)


def judge(tensors: Iterable[TensorStats], ignore: Sequence[str] = ()) -> CheckResult:
    """Decide by the counts of each tensor; NaN in a weight outweighs an infinity elsewhere."""
    looked_at = [t for t in tensors if not _ignored(t, ignore)]
    odd = [t for t in looked_at if t.nan or t.inf]
    weights = [t for t in odd if t.role == MODEL]
    details = {
        "tensors": [
            {"name": t.name, "role": t.role, "nan": t.nan, "inf": t.inf, "values": t.count}
            for t in odd[:_LISTED]
        ]
    }
    if any(t.nan for t in weights):
        first = [t for t in weights if t.nan]
        return failed(NAME, "nan", _sentence(first, len(weights)), **details)
    if weights:
        return failed(NAME, "inf", _sentence(weights, len(weights)), **details)
    if odd:
        return failed(NAME, "nan_elsewhere", _sentence(odd, len(odd)), **details)
    return passed(NAME, f"All values of {len(looked_at)} tensors are finite.")


def _ignored(tensor: TensorStats, ignore: Sequence[str]) -> bool:
    return any(fnmatchcase(tensor.name, g) or fnmatchcase(tensor.key, g) for g in ignore)


def _sentence(tensors: Sequence[TensorStats], total: int) -> str:
    shown = "; ".join(f"{t.name}: {_counts(t)}" for t in tensors[:_SHOWN])
    rest = total - min(len(tensors), _SHOWN)
    return f"{shown}; and {rest} more tensors" if rest > 0 else shown


def _counts(tensor: TensorStats) -> str:
    parts = []
    if tensor.nan:
        parts.append(f"{tensor.nan} of {tensor.count} values are NaN")
    if tensor.inf:
        parts.append(f"{tensor.inf} of {tensor.count} values are infinite")
    return ", ".join(parts)
