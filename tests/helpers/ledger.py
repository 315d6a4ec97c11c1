"""Ledger entries and checkpoints on disk, small and made in a moment, for tests."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from checkpointd.core.checkpoint import Checkpoint, Generation, Member
from checkpointd.core.format_specs import Format
from checkpointd.core.report import Facts, Report
from checkpointd.core.verdict import Verdict
from checkpointd.ledger import Entry, Ledger, State

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from checkpointd.ledger.facts import Earlier

_VERDICTS = {
    State.VALID: Verdict.VALID,
    State.INVALID: Verdict.INVALID,
    State.INCONCLUSIVE: Verdict.INCONCLUSIVE,
}


def generation(saved_at: float = 1000.0, size: int = 10, name: str = "") -> Generation:
    """A generation with one member that exists nowhere."""
    nanoseconds = int(saved_at * 1e9)
    return Generation((Member(name, 1, 2, size, nanoseconds, nanoseconds),))


def report(
    checkpoint: Checkpoint,
    of: Generation,
    verdict: Verdict = Verdict.VALID,
    *,
    shown: tuple[str, ...] = ("intact", "loads"),
    facts: Facts | None = None,
    finished_at: float = 2000.0,
) -> Report:
    """A report about a generation."""
    return Report(
        checkpoint=checkpoint,
        generation=of,
        verdict=verdict,
        reason="" if verdict is Verdict.VALID else "integrity.checksum_mismatch",
        message="" if verdict is Verdict.VALID else "A byte is not what it was.",
        shown=shown if verdict is Verdict.VALID else (),
        checks=(),
        facts=facts or Facts(),
        duration_seconds=0.1,
        settings_digest="d",
        finished_at=finished_at,
    )


def entry(
    identity: int,
    *,
    state: State = State.VALID,
    saved_at: float = 1000.0,
    step: int | None = None,
    metrics: Mapping[str, float] | None = None,
    shown: tuple[str, ...] = ("intact", "loads"),
    tensors: str = "",
    model: str = "",
    pinned: bool = False,
    series: str = "ckpt-{}",
    path: str | None = None,
    seen: float = 0.0,
    first_seen: float | None = None,
    sequence: int = 0,
    kind: Format = Format.HDF5,
    original: Earlier | None = None,
    before: tuple[Earlier, ...] = (),
) -> Entry:
    """A ledger entry that exists nowhere; named `/w/ckpt-<identity>` without a `path`."""
    checkpoint = Checkpoint(
        path or f"/w/ckpt-{identity}",
        kind,
        "w",
        series,
        str(identity),
        step,
        dict(metrics or {}),
    )
    of = generation(saved_at)
    made = None
    if state in _VERDICTS:
        facts = Facts(tensors_digest=tensors, model_digest=model)
        made = report(checkpoint, of, _VERDICTS[state], shown=shown, facts=facts)
    return Entry(
        id=identity,
        checkpoint=checkpoint,
        generation=of,
        state=state,
        report=made,
        first_seen=seen if first_seen is None else first_seen,
        saved_at=saved_at,
        pinned=pinned,
        seen=seen,
        sequence=sequence,
        original=original,
        before=before,
    )


def generation_on_disk(path: str, members: Iterable[str]) -> Generation:
    """The generation that is on disk now, of the given members."""
    found = []
    for name in sorted(members):
        seen = os.stat(path + name)
        found.append(
            Member(name, seen.st_dev, seen.st_ino, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns)
        )
    return Generation(tuple(found))


def write_file(path: Path, at: float, content: bytes = b"weights") -> tuple[Checkpoint, Generation]:
    """A checkpoint that is one file, saved at a time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    os.utime(path, (at, at))
    return Checkpoint(str(path), Format.HDF5, "w", "m-{}.h5"), generation_on_disk(str(path), [""])


def write_prefix(path: Path, at: float) -> tuple[Checkpoint, Generation]:
    """A checkpoint of three files and a golden record beside it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    names = (".data-00000-of-00002", ".data-00001-of-00002", ".index")
    for name in (*names, ".golden.npz"):
        member = path.with_name(path.name + name)
        member.write_bytes(f"{path.name}{name}".encode())
        os.utime(member, (at, at))
    return Checkpoint(str(path), Format.TF_CHECKPOINT, "w", "ckpt-{}"), generation_on_disk(
        str(path), names
    )


def write_directory(path: Path, at: float) -> tuple[Checkpoint, Generation]:
    """A checkpoint that is a directory."""
    names = ("/saved_model.pb", "/variables/variables.index", "/assets.extra/golden.npz")
    for name in names:
        member = path / name[1:]
        member.parent.mkdir(parents=True, exist_ok=True)
        member.write_bytes(f"{path.name}{name}".encode())
        os.utime(member, (at, at))
    return Checkpoint(str(path), Format.SAVEDMODEL, "w", "sm/{}"), generation_on_disk(
        str(path), names
    )


def write_keras(path: Path, at: float) -> tuple[Checkpoint, Generation]:
    """A checkpoint that is Keras's directory."""
    names = ("/config.json", "/metadata.json", "/model.weights.h5", "/assets/vocabulary.txt")
    for name in names:
        member = path / name[1:]
        member.parent.mkdir(parents=True, exist_ok=True)
        member.write_bytes(f"{path.name}{name}".encode())
        os.utime(member, (at, at))
    return Checkpoint(str(path), Format.KERAS, "w", "k/{}"), generation_on_disk(str(path), names)


WRITERS = {
    "file": write_file,
    "prefix": write_prefix,
    "directory": write_directory,
    "keras": write_keras,
}
"""One of each shape that a checkpoint has on disk."""


def record_verdict(
    ledger: Ledger, saved: tuple[Checkpoint, Generation], verdict: Verdict = Verdict.VALID
) -> Entry:
    """Record a checkpoint and its verdict in the ledger."""
    return ledger.record_report(report(*saved, verdict))


def tree(root: Path) -> dict[str, bytes]:
    """Every file below a root with its content, without the trash and the root's records."""
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and not {".checkpointd", ".checkpointd-trash"} & {*path.parts}
    }
