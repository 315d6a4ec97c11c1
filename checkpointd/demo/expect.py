"""The verdict that each checkpoint of the demo has to get, so that the demo can check itself."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Expectation:
    """A pattern of paths below the demo's directory, the verdict that they have to get, and why."""

    pattern: str
    verdict: str
    reasons: tuple[str, ...]
    shown: tuple[str, ...]
    description: str


EXPECTATIONS = (
    Expectation(
        r"classifier/model_epoch_\d\d\.h5",
        "valid",
        (),
        ("intact", "loads", "runs"),
        "ModelCheckpoint with {epoch:02d}",
    ),
    Expectation(
        r"classifier/best\.keras",
        "valid",
        (),
        ("intact", "loads", "runs", "predicts", "resumes"),
        "saved through GoldenCheckpoint",
    ),
    Expectation(
        r"classifier/final\.h5",
        "valid",
        (),
        ("intact", "loads", "runs", "predicts"),
        "saved by save()",
    ),
    Expectation(r"weights/epoch_\d\d\.weights\.h5", "valid", (), ("intact",), "weights only"),
    Expectation(r"checkpoints/ckpt-\d+", "valid", (), ("intact",), "tf.train.CheckpointManager"),
    Expectation(
        r"export/\d+",
        "valid",
        (),
        ("intact", "loads", "runs", "predicts"),
        "SavedModel by export",
    ),
    Expectation(
        r"spoiled/truncated\.h5", "invalid", ("structure.truncated",), (), "the disk was full"
    ),
    Expectation(
        r"spoiled/bit_flipped\.h5",
        "invalid",
        ("integrity.digest_mismatch",),
        (),
        "one bit of one weight",
    ),
    Expectation(
        r"spoiled/nan_weights\.keras",
        "invalid",
        ("finite.nan",),
        ("intact", "loads"),
        "the training diverged",
    ),
    Expectation(
        r"spoiled/half_written",
        "invalid",
        ("structure.missing_member", "structure.truncated"),
        (),
        "the job was killed while it saved",
    ),
)


def expectation(relative: str) -> Expectation | None:
    """The expectation for a path below the demo's directory."""
    return next((e for e in EXPECTATIONS if re.fullmatch(e.pattern, relative)), None)


def mistake_in(relative: str, verdict: str, reason: str, shown: list[str]) -> str:
    """Describe what is wrong with a verdict; empty if it is the right one."""
    expected = expectation(relative)
    if expected is None:
        return "this checkpoint was not expected"
    if verdict != expected.verdict:
        return f"expected {expected.verdict}, got {verdict}"
    if expected.reasons and reason not in expected.reasons:
        return f"expected {' or '.join(expected.reasons)}, got {reason}"
    missing = [what for what in expected.shown if what not in shown]
    return f"expected it to show {', '.join(missing)}" if missing else ""


def missing(relatives: set[str]) -> list[str]:
    """The descriptions of expected checkpoints that got no verdict."""
    return [
        e.description
        for e in EXPECTATIONS
        if not any(re.fullmatch(e.pattern, r) for r in relatives)
    ]
