"""`finite`: no weight of the model has a NaN or an infinity; names and counts of those that have.

Variables of the optimizer and others only warn (`checkpointd.tensors.roles` decides which they
are), and so does a mask: -inf where attention is forbidden, and 0 elsewhere. `ignore_tensors` takes
globs over the names that `checkpointd inspect` prints, and over the names in the container.
"""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from checkpointd.core.check_result import CheckResult, failed, passed, skipped
from checkpointd.tensors import MODEL, OTHER
from checkpointd.verify.scan.structure import contents_of, plan_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from checkpointd.tensors import TensorStats
    from checkpointd.verify.scan.scan_context import ScanContext

NAME = "finite"
_SHOWN = 3
_LISTED = 100
_LEAST_MASKED = 0.05
_MASKS = re.compile(r"(^|_)(mask|masks|causal|alibi|log_?prob|log_?probs|log_?prior)(:?\d+)?$")
"""How the name of a mask ends. A layer may have such a name too, but its kernel is a weight."""


def check(context: ScanContext) -> CheckResult:
    """Judge the counts of the pass over the weights."""
    plan_of(context)
    if context.unreadable:
        return skipped(NAME, f"Not read: {context.unreadable}")
    return judge(contents_of(context).tensors, context.request.settings.ignore_tensors)


def judge(tensors: Iterable[TensorStats], ignore: Sequence[str] = ()) -> CheckResult:
    """Decide by the counts of each tensor; NaN in a weight outweighs an infinity elsewhere."""
    checked = [t for t in tensors if not _ignored(t, ignore)]
    nonfinite = [t for t in checked if t.nan or t.inf]
    weights = [t for t in nonfinite if t.role == MODEL and not is_mask(t)]
    details = {"tensors": [_details(t) for t in nonfinite[:_LISTED]]}
    if any(t.nan for t in weights):
        first = [t for t in weights if t.nan]
        return failed(NAME, "nan", _sentence(first, len(weights)), **details)
    if weights:
        return failed(NAME, "inf", _sentence(weights, len(weights)), **details)
    if nonfinite:
        return failed(
            NAME, "nan_elsewhere", _sentence(nonfinite, len(nonfinite), why=True), **details
        )
    return passed(NAME, f"All values of {len(checked)} tensors are finite.")


def is_mask(tensor: TensorStats) -> bool:
    """Whether the values of a tensor are those of a mask that is added to logits.

    Training does not result in -inf in many places and exact zeros in all others; if the name is
    that of a mask, other numbers may occur beside -inf.
    """
    forbidden = tensor.minus_inf
    if tensor.nan or not forbidden or forbidden != tensor.inf or forbidden == tensor.count:
        return False
    name = tensor.name.split(" (", maxsplit=1)[0].rpartition("/")[2]
    if _MASKS.search(name.lower()):
        return True
    share = forbidden / tensor.count
    zeros = tensor.sum_of_squares == 0
    return zeros and len(tensor.shape) > 1 and _LEAST_MASKED <= share <= 1 - _LEAST_MASKED


def _details(tensor: TensorStats) -> dict[str, Any]:
    masked = tensor.role == MODEL and is_mask(tensor)
    return {
        "name": tensor.name,
        "role": OTHER if masked else tensor.role,
        "decided_by": "its values: -inf where it masks" if masked else tensor.decided_by,
        "nan": tensor.nan,
        "inf": tensor.inf,
        "values": tensor.count,
    }


def _ignored(tensor: TensorStats, ignore: Sequence[str]) -> bool:
    return any(fnmatchcase(tensor.name, g) or fnmatchcase(tensor.key, g) for g in ignore)


def _sentence(tensors: Sequence[TensorStats], total: int, *, why: bool = False) -> str:
    """Name tensors with their counts, and with `why` what shows that they are not weights."""
    names = [f"{t.name} ({_details(t)['decided_by']})" if why else t.name for t in tensors[:_SHOWN]]
    shown = "; ".join(f"{name}: {_counts(t)}" for name, t in zip(names, tensors))
    rest = total - min(len(tensors), _SHOWN)
    return f"{shown}; and {rest} more tensors" if rest > 0 else shown


def _counts(tensor: TensorStats) -> str:
    parts = []
    if tensor.nan:
        parts.append(f"{tensor.nan} of {tensor.count} values are NaN")
    if tensor.inf:
        parts.append(f"{tensor.inf} of {tensor.count} values are infinite")
    return ", ".join(parts)
