"""`drift`: how the weights changed since the last valid checkpoint of the series.

The norms and checksums of that checkpoint are in the request; its file is not read a second
time. So the change of a tensor is known by its norm alone, and the ratio for the whole model,
`sqrt(sum (|w| - |w'|)^2) / sqrt(sum |w'|^2)` over its tensors, is a lower bound of how far the
weights moved (the triangle inequality); a move at right angles does not count. On a small
convolutional net trained with Adam it was 1/7 of the real change from epoch to epoch.

The first steps of training are no reason to warn: biases and some kernels start at zero, so a norm
counts as grown only if the values are no longer small; and statistics that a layer keeps of its
inputs (batch normalisation) have the scale of the inputs, so their growth is not judged.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from checkpointd.core.check_result import CheckResult, failed, passed, skipped
from checkpointd.tensors import MODEL, baseline
from checkpointd.verify.scan.structure import contents_of, plan_of
from checkpointd.verify.suite import printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from checkpointd.tensors import TensorStats
    from checkpointd.tensors.baseline import Baseline, Weight
    from checkpointd.verify.scan.scan_context import ScanContext

NAME = "drift"
_SHOWN = 3
_LISTED = 50
_SMALL = 0.1
_SMALL_VECTOR = 1.0
"""Root mean squares below which growth is not judged: of kernels, and of biases and gains."""

_MATRIX = 2
_STATISTIC = re.compile(r"(?:^|[/_])(?:(?:moving|running)_(?:mean|var|variance)|mean|variance)$")
_LAYER_NUMBER = re.compile(r"_(\d+)(?=/|$)")
_NUMBERED = re.compile(r"(.*/vars)/(\d+)$")
_BATCH_NORM = re.compile(
    r"(?:^|/)(?:sync_?)?batch_?norm(?:alization)?(?:_\d+)?/vars$", re.IGNORECASE
)
_BATCH_NORM_VARS = 4


@dataclass(frozen=True)
class Change:
    """One tensor in both checkpoints; a `statistic` is what a layer keeps of its inputs.

    `finite`: none of its values is NaN or Inf now; the norm is that of the others.
    """

    name: str
    before: Weight
    now: Weight
    statistic: bool = False
    finite: bool = True

    @property
    def grown(self) -> float:
        """The factor by which it grew; a smaller former size counts as the least that is judged."""
        least = _SMALL if len(self.now.shape) >= _MATRIX else _SMALL_VECTOR
        return self.now.rms / max(self.before.rms, least)

    @property
    def died(self) -> bool:
        """Whether it held values, and is all zero now; biases may be."""
        return len(self.now.shape) >= _MATRIX and self.is_zero and bool(self.before.norm)

    @property
    def is_zero(self) -> bool:
        """Whether every value is zero."""
        return self.now.norm == 0 and self.finite

    @property
    def same(self) -> bool:
        """Whether its bytes are the same."""
        return self.before.crc32 == self.now.crc32


@dataclass(frozen=True)
class Drift:
    """Two checkpoints compared: which tensors differ, as messages, and the tensors in both."""

    differences: tuple[str, ...]
    changes: tuple[Change, ...]

    @property
    def ratio(self) -> float | None:
        """The least that the weights moved, relative to their former norm; None if that is 0."""
        pairs = [
            (c.before.norm, c.now.norm)
            for c in self.changes
            if c.before.norm is not None and c.now.norm is not None and c.finite and not c.statistic
        ]
        before = math.sqrt(math.fsum(b * b for b, _ in pairs))
        moved = math.sqrt(math.fsum((n - b) ** 2 for b, n in pairs))
        return moved / before if before > 0 and math.isfinite(moved / before) else None

    @property
    def unchanged(self) -> bool:
        """Whether every floating-point weight has the same bytes."""
        floating = [c for c in self.changes if c.now.norm is not None]
        return bool(floating) and all(c.same for c in floating)


def check(context: ScanContext) -> CheckResult:
    """Compare with the last valid checkpoint of the series, if there is one."""
    previous, settings = context.request.previous, context.request.settings
    plan_of(context)
    if context.unreadable:
        return skipped(NAME, f"Not read: {context.unreadable}")
    tensors = contents_of(context).tensors
    before = baseline.unpack(previous.facts.tensors) if previous is not None else None
    if previous is None or before is None:
        return skipped(NAME, "No valid checkpoint of its series is known to compare it with.")
    drift = compare(before, tensors, settings.ignore_tensors)
    context.learn(weight_change_ratio=drift.ratio if not drift.differences else None)
    step = context.facts.step if context.facts.step is not None else context.request.checkpoint.step
    return judge(
        drift,
        settings.drift.max_norm_ratio,
        path=previous.path,
        steps=(previous.step, step),
        partial=before.left_out,
    )


def compare(before: Baseline, tensors: Sequence[TensorStats], ignore: Sequence[str] = ()) -> Drift:
    """Compare the tensors of a checkpoint with those of an earlier one.

    Args:
        before: the earlier one; if it is not whole, only its tensors are compared.
        tensors: of the later one.
        ignore: globs over names and keys of tensors that are not compared.
    """
    chosen = {
        name: tensor
        for name, tensor in baseline.model_tensors(tensors).items()
        if not any(fnmatchcase(name, g) or fnmatchcase(tensor.key, g) for g in ignore)
    }
    statistics = _statistics(chosen)
    non_finite = {name for name, tensor in chosen.items() if tensor.nan or tensor.inf}
    now = {name: baseline.weight_of(tensor) for name, tensor in chosen.items()}
    no_weights = {
        t.name for t in tensors if t.role != MODEL
    }  # an earlier version may have counted them as weights
    old = {
        name: weight
        for name, weight in before.weights.items()
        if name not in no_weights and not any(fnmatchcase(name, g) for g in ignore)
    }
    if before.left_out:
        now = {name: weight for name, weight in now.items() if name in old}
    pairs = _renamed(old, now) or {name: name for name in now if name in old}
    differences = _differences(old, now, pairs)
    changes = tuple(
        Change(name, old[former], now[name], name in statistics, name not in non_finite)
        for name, former in pairs.items()
        if _kind(old[former]) == _kind(now[name])
    )
    return Drift(differences, changes)


def judge(
    drift: Drift,
    max_norm_ratio: float,
    *,
    path: str = "",
    steps: tuple[int | None, int | None] = (None, None),
    partial: int = 0,
) -> CheckResult:
    """Decide on the result of a comparison by the most severe difference.

    Args:
        drift: the comparison.
        max_norm_ratio: how many times its former norm a tensor may have.
        path: of the earlier checkpoint.
        steps: the training steps of the earlier and the later one, if they are known.
        partial: how many tensors the record of the earlier one leaves out.
    """
    if drift.differences:
        return failed(
            NAME,
            "shape_changed",
            f"It has other tensors than {printable(path)!r}: "
            f"{_several(drift.differences, 'differences')}.",
            differences=list(drift.differences[:_LISTED]),
        )
    former, step = steps
    known = former is not None and step is not None
    if known and step < former:  # type: ignore[operator]  # both are numbers where known
        return passed(
            NAME, f"A new run began: step {step} after {former}. The tensors are the same."
        )
    grown = sorted(
        (c for c in drift.changes if not c.statistic and c.grown > max_norm_ratio),
        key=lambda c: -c.grown,
    )
    dead = [c.name for c in drift.changes if c.died]
    details = {
        "compared": len(drift.changes),
        "not_compared": partial,
        "weight_change_ratio": drift.ratio,
        "unchanged_tensors": sum(c.same for c in drift.changes),
        "dead_tensors": [c.name for c in drift.changes if c.is_zero][:_LISTED],
        "exploding_tensors": [_detail(c) for c in grown[:_LISTED]],
    }
    if grown:
        message = _several([_growth(c) for c in grown], "tensors")
        return failed(NAME, "exploding", f"{message}.", **details)
    if dead:
        return failed(NAME, "dead", f"All zero now: {_several(dead, 'tensors')}.", **details)
    if drift.unchanged and not partial and not (known and step == former):
        return failed(
            NAME, "unchanged", f"All weights are those of {printable(path)!r}.", **details
        )
    moved = "" if drift.ratio is None else f" The weights moved by at least {drift.ratio:.2g}."
    return passed(NAME, f"{len(drift.changes)} tensors compared.{moved}", **details)


def _statistics(tensors: Mapping[str, TensorStats]) -> set[str]:
    """Return the names of the running means and variances that layers keep of their inputs.

    Keras 3's files number a layer's variables instead of naming them. In batch normalisation, known
    by its class in the key or by four vectors of one shape, they are the last two.
    """
    found = {name for name in tensors if _STATISTIC.search(name)}
    groups: dict[str, list[str]] = {}
    for name, tensor in tensors.items():
        numbered = _NUMBERED.match(tensor.key)
        if numbered is not None:
            groups.setdefault(numbered[1], []).append(name)
    for group, names in groups.items():
        shapes = {tensors[name].shape for name in names}
        alike = len(shapes) == 1 and len(next(iter(shapes))) == 1
        if alike and (_BATCH_NORM.search(group) or len(names) == _BATCH_NORM_VARS):
            found.update(sorted(names, key=lambda n: _size(tensors[n].key.rpartition("/")[2]))[-2:])
    return found


def _kind(weight: Weight) -> tuple[str, tuple[int, ...]]:
    return weight.dtype, weight.shape


def _renamed(old: Mapping[str, Weight], now: Mapping[str, Weight]) -> dict[str, str]:
    """Pair tensors if only the numbers in their layers' names differ; empty if more differs.

    When a process builds its model again, `dense` and `dense_1` become `dense_2` and `dense_3`;
    their order stays.
    """
    if set(old) == set(now) or len(old) != len(now):
        return {}
    pairs = dict(zip(sorted(now, key=_in_order), sorted(old, key=_in_order)))
    same = all(
        _kind(now[name]) == _kind(old[former]) and _in_order(name)[0] == _in_order(former)[0]
        for name, former in pairs.items()
    )
    return pairs if same else {}


def _in_order(name: str) -> tuple[str, list[tuple[int, str]]]:
    """Split a name into its text without the numbers of layers, and a sort key of the numbers."""
    return _LAYER_NUMBER.sub("", name), [_size(n) for n in _LAYER_NUMBER.findall(name)]


def _size(digits: str) -> tuple[int, str]:
    """Return a key that sorts digits as numbers, however long they are."""
    significant = digits.lstrip("0")
    return len(significant), significant


def _differences(
    old: Mapping[str, Weight], now: Mapping[str, Weight], pairs: Mapping[str, str]
) -> tuple[str, ...]:
    taken = set(pairs.values())
    sentences = [
        f"{name} was {_description(old[former])} and is {_description(now[name])}"
        for name, former in pairs.items()
        if _kind(old[former]) != _kind(now[name])
    ]
    sentences += [f"{name} is gone" for name in old if name not in taken]
    sentences += [f"{name} is new" for name in now if name not in pairs]
    return tuple(sentences)


def _description(weight: Weight) -> str:
    return f"{weight.dtype} {list(weight.shape)}"


def _growth(change: Change) -> str:
    return f"{change.name}: its norm was {change.before.norm:.3g} and is {change.now.norm:.3g}"


def _detail(change: Change) -> dict[str, object]:
    return {"name": change.name, "before": change.before.norm, "now": change.now.norm}


def _several(items: Sequence[str], noun: str) -> str:
    shown = "; ".join(items[:_SHOWN])
    rest = len(items) - _SHOWN
    return printable(f"{shown}; and {rest} more {noun}" if rest > 0 else shown)
