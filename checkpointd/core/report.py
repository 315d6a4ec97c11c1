"""The result of one verification: its facts and its report."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from checkpointd.core.encode import to_json
from checkpointd.core.format_specs import Format

if TYPE_CHECKING:
    from collections.abc import Mapping

    from checkpointd.core.check_result import CheckResult
    from checkpointd.core.checkpoint import Checkpoint, Generation
    from checkpointd.core.verdict import Verdict


MAX_PACKED = 256 * 1024
"""Characters of `Facts.tensors`: its limit in the ledger and in messages."""


@dataclass(frozen=True)
class Digest:
    """One variable: in memory before the save, or as it is stored.

    `crc32` is `zlib.crc32` of its values' C-order little-endian bytes; `dtype` is numpy's name
    for their type (`ml_dtypes`' for `bfloat16` and the like), as the format stores them.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    crc32: int


@dataclass(frozen=True)
class Facts:
    """What the children learned besides the checks; every field may be unknown.

    `digest` covers every member's bytes. `tensors_digest` covers the names, shapes and dtypes
    of the model's weights, `model_digest` its configuration without what only training depends
    on (empty: the file has none); `tensors` holds what the next one of the series is compared with,
    packed (see `checkpointd.tensors.baseline`). `checksums` holds the CRC32C and the CRC32 of small
    members, which show later whether a single byte has changed. `weight_change_ratio` is how far
    the weights have moved, at least, by their own norm. `signatures` maps a name to its inputs and
    outputs, each `[name, dtype, shape]`. `evaluation` holds the metrics of `evaluate`,
    `evaluated_by` its digest. `optimizer_step` is what the restored optimizer counts;
    `optimizer_tensors` and `other_tensors` (None: unknown) are what is stored of the optimizer, and
    of all else: they go from scan to load, and are kept in no report.
    """

    format: Format = Format.UNKNOWN
    writer: str = ""
    step: int | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    digest: str = ""
    tensors_digest: str = ""
    model_digest: str = ""
    tensor_count: int = 0
    parameter_count: int = 0
    non_finite_values: int = 0
    weight_norm: float | None = None
    weight_change_ratio: float | None = None
    tensors: str = ""
    has_golden: bool = False
    signatures: Mapping[str, Any] = field(default_factory=dict)
    predictions_max_abs_difference: float | None = None
    evaluation: Mapping[str, float] = field(default_factory=dict)
    evaluated_by: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    checksums: Mapping[str, str] = field(default_factory=dict)
    optimizer_step: int | None = None
    optimizer_tensors: tuple[Digest, ...] | None = None
    other_tensors: tuple[Digest, ...] | None = None


def with_facts(checkpoint: Checkpoint, facts: Facts) -> Checkpoint:
    """Return a checkpoint with the step and the metrics that its content gives, else its name."""
    return replace(
        checkpoint,
        step=checkpoint.step if facts.step is None else facts.step,
        metrics={**checkpoint.metrics, **facts.metrics},
    )


@dataclass(frozen=True)
class Report:
    """The result of one verification of one generation."""

    checkpoint: Checkpoint
    generation: Generation
    verdict: Verdict
    reason: str
    message: str
    shown: tuple[str, ...]
    checks: tuple[CheckResult, ...]
    facts: Facts
    duration_seconds: float
    settings_digest: str
    finished_at: float
    stderr: str = ""

    def to_public(self) -> dict[str, Any]:
        """The object that `verify --json` prints."""
        return {
            "path": self.checkpoint.path,
            "format": str(self.facts.format),
            "series": self.checkpoint.series,
            "step": self.checkpoint.step,
            "size_bytes": self.generation.size_bytes,
            "verdict": str(self.verdict),
            "reason": self.reason,
            "message": self.message,
            "shown": list(self.shown),
            "checks": [to_json(check) for check in self.checks],
            "duration_seconds": round(self.duration_seconds, 4),
            "environment": dict(self.facts.environment),
        }
