"""A private copy, verified in the place of a checkpoint that does not hold still."""

from __future__ import annotations

import asyncio
import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from checkpointd.config import WorkerSettings
from checkpointd.core.request import Answer, End, Request
from checkpointd.core.suite import CHECKS
from checkpointd.core.verdict import Verdict
from checkpointd.dispatch.local import LocalDispatcher
from tests.helpers.bundles import bundle
from tests.helpers.formats import savedmodel
from tests.helpers.scan import request_for
from tests.helpers.watch import write_hdf5, write_keras

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_WITHOUT_TENSORFLOW = tuple(n for n in CHECKS if n not in ("structure", "integrity", "finite"))


def verify(request: Request, scratch: Path) -> Answer:
    """Have a copy verified by real children, without TensorFlow."""

    async def run() -> Answer:
        dispatcher = LocalDispatcher(WorkerSettings(), scratch)
        try:
            return await dispatcher.verify(replace(request, copied=True))
        finally:
            await dispatcher.close()

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("m.h5", write_hdf5),
        ("m.keras", write_keras),
        ("ckpt-7", bundle),
        ("export", savedmodel),
    ],
)
def test_a_copy_is_verified_and_reported_as_the_checkpoint_itself(
    tmp_path: Path, name: str, write: Callable[[Path], object]
) -> None:
    """Path, generation and digest are the checkpoint's own; nothing is left of the copy."""
    path, scratch = tmp_path / name, tmp_path / "scratch"
    write(path)
    if name == "export":  # made by hand: its fingerprint is none
        (path / "fingerprint.pb").unlink()
    request = request_for(path, skip=_WITHOUT_TENSORFLOW)
    answer = verify(request, scratch)
    assert answer.report is not None, answer
    assert answer.report.verdict is Verdict.VALID, answer.report.message
    assert answer.report.checkpoint.path == str(path)
    assert answer.report.generation == request.generation
    assert str(scratch) not in repr(answer)
    assert list(scratch.iterdir()) == []

    async def plain() -> Answer:
        dispatcher = LocalDispatcher(WorkerSettings(), scratch)
        try:
            return await dispatcher.verify(request)
        finally:
            await dispatcher.close()

    direct = asyncio.run(plain())
    assert direct.report is not None
    assert direct.report.facts.digest == answer.report.facts.digest


def test_a_checkpoint_that_changes_before_it_is_copied_is_superseded(tmp_path: Path) -> None:
    """A copy of other content would be worth nothing."""
    path, scratch = tmp_path / "m.h5", tmp_path / "scratch"
    write_hdf5(path)
    request = request_for(path, skip=_WITHOUT_TENSORFLOW)
    write_hdf5(path, 99)
    assert verify(request, scratch).end is End.SUPERSEDED
    path.unlink()
    assert verify(request, scratch).end is End.SUPERSEDED
    assert list(scratch.iterdir()) == []


def test_a_copy_without_disk_space_is_not_begun(tmp_path: Path) -> None:
    """The state directory's disk is not filled for it."""
    path, scratch = tmp_path / "m.h5", tmp_path / "scratch"
    scratch.mkdir()
    write_hdf5(path)
    mounted = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(scratch)]
    if subprocess.run(mounted, check=False, capture_output=True).returncode:
        pytest.skip("this user may not mount")
    try:
        answer = verify(request_for(path, skip=_WITHOUT_TENSORFLOW), scratch)
    finally:
        subprocess.run(["umount", str(scratch)], check=True)
    assert answer.end is End.SUPERSEDED
    assert "no disk space" in answer.message
