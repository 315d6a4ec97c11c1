"""One checkpoint with all that the ledger knows: for its page and `/api/v1/checkpoints/{id}`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from checkpointd.core.encode import to_json
from checkpointd.ledger.public import public_detail
from checkpointd.observe.series_status import series_id
from checkpointd.tensors.baseline import unpack

if TYPE_CHECKING:
    from checkpointd.core.report import Facts
    from checkpointd.ledger import CheckpointSummary, Entry, Replica

MAX_TENSORS = 1000
"""How many tensors are listed, the largest ones where there are more."""

_FACTS = (
    "writer",
    "tensor_count",
    "parameter_count",
    "non_finite_values",
    "weight_norm",
    "weight_change_ratio",
    "predictions_max_abs_difference",
    "has_golden",
    "optimizer_step",
    "evaluation",
    "signatures",
)


def checkpoint_detail(
    entry: Entry,
    previous: CheckpointSummary | None,
    following: CheckpointSummary | None,
    replica: Replica | None = None,
) -> dict[str, Any]:
    """The object of the API.

    Args:
        entry: the checkpoint.
        previous: the one of its series that was saved before it.
        following: the one that was saved after it.
        replica: the last copy of its path in a bucket.
    """
    checkpoint = entry.checkpoint
    report = entry.whole_report
    facts = report.facts if report else None
    return {
        **public_detail(entry),
        "series_id": series_id(checkpoint.watch, checkpoint.series),
        "previous": to_json(previous),
        "next": to_json(following),
        "replica": replica.of_content(entry.generation.key) if replica else None,
        "facts": {name: to_json(getattr(facts, name)) for name in _FACTS} if facts else {},
        **_tensors(facts),
    }


def _tensors(facts: Facts | None) -> dict[str, Any]:
    """The tensors of the model's own weights, as far as the report keeps them."""
    baseline = unpack(facts.tensors) if facts else None
    if baseline is None:
        return {"tensors": [], "tensors_left_out": facts.tensor_count if facts else 0}
    named = sorted(baseline.weights.items())[:MAX_TENSORS]
    rows = [
        {"name": name, "dtype": w.dtype, "shape": list(w.shape), "norm": w.norm, "rms": w.rms}
        for name, w in named
    ]
    left_out = baseline.left_out + len(baseline.weights) - len(rows)
    return {"tensors": rows, "tensors_left_out": left_out}
