"""The words of checkpointd: what is known about one checkpoint, as plain frozen facts.

Everything here is standard library only and runs on Python 3.9, because it is also
imported in the training job's interpreter.
"""

from __future__ import annotations

import dataclasses
import enum
import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from checkpointd.core.format_specs import Format
from checkpointd.core.reasons import REASONS, Severity

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from checkpointd.core.verify_settings import VerifySettings

CHECKS = (
    "structure",
    "integrity",
    "safety",
    "finite",
    "drift",
    "load",
    "signatures",
    "inference",
    "predictions",
    "resume",
    "evaluate",
)
"""The verification suite, in order."""

SCAN_CHECKS = CHECKS[:5]
LOAD_CHECKS = CHECKS[5:]

SHOWS = {
    "integrity": "intact",
    "load": "loads",
    "inference": "runs",
    "predictions": "predicts",
    "resume": "resumes",
}
"""What a check shows when it passes."""

_SHOWN_ALTHOUGH_WARNED = {"integrity", "load"}
_KEEP_FROM_INTACT = ("structure", "integrity")


class Verdict(str, enum.Enum):
    """What a verification came to."""

    VALID = "valid"
    INVALID = "invalid"
    INCONCLUSIVE = "inconclusive"

    def __str__(self) -> str:
        return self.value


class Outcome(str, enum.Enum):
    """What one check came to."""

    PASS = "pass"  # noqa: S105 - not a password
    WARN = "warn"
    FAIL = "fail"
    SKIP = "skip"
    ERROR = "error"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class Member:
    """One file of a checkpoint and its identity.

    `name` is what is appended to the checkpoint's path: empty for the file itself,
    `.index` for a prefix, `/variables/variables.index` in a directory.
    """

    name: str
    device: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int


@dataclass(frozen=True)
class Generation:
    """One content of one checkpoint: the identity of its members, sorted by name."""

    members: tuple[Member, ...]

    @property
    def size_bytes(self) -> int:
        """The bytes of all members together."""
        return sum(m.size for m in self.members)

    @property
    def saved_at(self) -> float:
        """When the newest member was last written, in seconds since the epoch."""
        return max((m.mtime_ns for m in self.members), default=0) / 1e9

    @property
    def key(self) -> str:
        """Identity across time: names, sizes and modification times, never the device."""
        text = "\n".join(f"{m.name}\0{m.size}\0{m.mtime_ns}" for m in self.members)
        return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:32]

    @property
    def inode_key(self) -> str:
        """What a chmod, a hard link or a remount changes without changing the content."""
        text = "\n".join(f"{m.inode}\0{m.ctime_ns}" for m in self.members)
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    @property
    def identity(self) -> str:
        """Both keys: the same as long as nobody has touched any member in any way."""
        return self.key + self.inode_key


@dataclass(frozen=True)
class Checkpoint:
    """One model artifact on disk and the place it has among others."""

    path: str
    format: Format
    watch: str = ""
    series: str = ""
    version: str = ""
    step: int | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class CheckResult:
    """What one check of the suite found.

    `reason` is `<check>.<word>` from `core.reasons`, empty on a pass and where a check did not
    apply; a skip with a reason is a note, which explains why something was not shown. `message`
    is one plain sentence; `details` holds JSON-serialisable facts.
    """

    name: str
    outcome: Outcome
    reason: str = ""
    message: str = ""
    duration_seconds: float = 0.0
    details: Mapping[str, Any] = field(default_factory=dict)


MAX_PACKED = 256 * 1024
"""Characters of `Facts.tensors`: what they may cost in the ledger and on the wire."""


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
    of the model's weights; `tensors` holds what the next one of the series is compared with,
    packed (see `checkpointd.tensors.baseline`). `weight_change_ratio` is how far the weights have
    moved, at least, by their own norm. `signatures` maps a name to its inputs and outputs, each
    `[name, dtype, shape]`. `evaluation` holds what `evaluate` gave, `evaluated_by` its digest.
    `optimizer_step` is what the restored optimizer counts; `optimizer_tensors` and
    `other_tensors` (None: unknown) are what is stored of the optimizer, and of all else: they go
    from scan to load, and are kept in no report.
    """

    format: Format = Format.UNKNOWN
    writer: str = ""
    step: int | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    digest: str = ""
    tensors_digest: str = ""
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
    optimizer_step: int | None = None
    optimizer_tensors: tuple[Digest, ...] | None = None
    other_tensors: tuple[Digest, ...] | None = None


@dataclass(frozen=True)
class Previous:
    """The last valid checkpoint of the same series, for the checks that compare."""

    path: str
    facts: Facts
    step: int | None = None


@dataclass(frozen=True)
class Request:
    """One verification to be done: picklable, free of TensorFlow, whole on another host.

    `overdue`: nobody has changed it for so long that nobody will, so what is missing is missing;
    otherwise that ends the verification as INCOMPLETE. `copied`: it never holds still for as long
    as a verification takes, so a private copy of it is to be verified. `digest`: what its content
    (`Facts.digest`) was when it was read before, if this very generation was. `best` holds, for
    each metric that is bounded by it, the best of the series' valid ones.
    """

    checkpoint: Checkpoint
    generation: Generation
    settings: VerifySettings
    previous: Previous | None = None
    overdue: bool = False
    copied: bool = False
    digest: str = ""
    best: Mapping[str, float] = field(default_factory=dict)


class End(str, enum.Enum):
    """How a verification ended; only DONE has a verdict."""

    DONE = "done"
    INCOMPLETE = "incomplete"
    SUPERSEDED = "superseded"
    UNKNOWN = "unknown"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class Report:
    """Everything one verification found out about one generation."""

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


@dataclass(frozen=True)
class Answer:
    """What a dispatcher gives back for a request: a report only when `end` is DONE."""

    end: End
    message: str = ""
    report: Report | None = None


def decide(
    checks: Iterable[CheckResult], fail_on: Iterable[str] = ()
) -> tuple[Verdict, str, str, tuple[str, ...]]:
    """Judge a suite: any fail is invalid; any error, or `intact` not shown, is inconclusive.

    A skipped check with a reason is a note: it says why something was not shown, and no more.

    Args:
        checks: what each check found, in the order of the suite.
        fail_on: names of checks whose warnings count as failures.

    Returns:
        The verdict, the reason and message of the first check that decided it (for a valid
        checkpoint the first warning's, else the first note's, or empty), and what was shown.
    """
    strict = set(fail_on)
    results = [
        dataclasses.replace(c, outcome=Outcome.FAIL)
        if c.outcome is Outcome.WARN and c.name in strict
        else c
        for c in checks
    ]
    shown = tuple(
        SHOWS[c.name]
        for c in results
        if c.name in SHOWS
        and (
            c.outcome is Outcome.PASS
            or (c.outcome is Outcome.WARN and c.name in _SHOWN_ALTHOUGH_WARNED)
        )
    )
    for outcome, verdict in (
        (Outcome.FAIL, Verdict.INVALID),
        (Outcome.ERROR, Verdict.INCONCLUSIVE),
    ):
        first = next((c for c in results if c.outcome is outcome), None)
        if first is not None:
            return verdict, first.reason, first.message, shown
    notes = [c for c in results if c.outcome is Outcome.SKIP and c.reason]
    if "intact" not in shown:
        why = next((c for c in notes if c.name in _KEEP_FROM_INTACT), None)
        unread = "Nothing was shown about its content: the integrity check did not run."
        return (
            Verdict.INCONCLUSIVE,
            why.reason if why else "",
            why.message if why else unread,
            shown,
        )
    warned = next((c for c in results if c.outcome is Outcome.WARN), next(iter(notes), None))
    return Verdict.VALID, warned.reason if warned else "", warned.message if warned else "", shown


def failed(check: str, word: str, message: str, **details: Any) -> CheckResult:
    """Make the result that `checkpointd.core.reasons` prescribes for `<check>.<word>`.

    Raises:
        KeyError: the reason is not in the closed list.
    """
    reason = f"{check}.{word}"
    outcome = {
        Severity.FAIL: Outcome.FAIL,
        Severity.ERROR: Outcome.ERROR,
        Severity.WARN: Outcome.WARN,
        Severity.NOTE: Outcome.SKIP,
    }[REASONS[reason].severity]
    return CheckResult(check, outcome, reason, message, details=details)


def passed(check: str, message: str = "", **details: Any) -> CheckResult:
    """Make the result of a check that found nothing wrong."""
    return CheckResult(check, Outcome.PASS, "", message, details=details)


def skipped(check: str, message: str) -> CheckResult:
    """Make the result of a check that did not apply, or whose precondition failed."""
    return CheckResult(check, Outcome.SKIP, "", message)


def to_json(value: Any) -> Any:
    """Turn a fact into what `json.dumps` takes; `decode` is the inverse."""
    if isinstance(value, enum.Enum):
        return value.value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_json(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {str(k): to_json(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_json(v) for v in value]
    return value
