"""Faults of the operating system at every call that changes the disk: nothing is ever lost.

`make soak` injects all; a run of the tests a random part, whose seed is shown.
"""

from __future__ import annotations

import os
import random
import secrets
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.helpers import vault_faults
from tests.helpers.faults import CALLS, FAULTS, STRACE, converge, inject, stages

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.helpers.invariants import Invariants

SOAK = bool(os.environ.get("SOAK"))
_PART = 5


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Path]:
    """A directory in memory if there is such: thousands of runs wait for thousands of fsyncs."""
    shared = Path("/dev/shm")  # noqa: S108 - a directory of our own is made in it
    if not os.access(shared, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=shared, prefix="checkpointd-test-") as made:
        yield Path(made)


def _may_trace() -> bool:
    command = [str(STRACE), "-f", "--seccomp-bpf", "-e", "trace=rename", "-o", "/dev/null", "true"]
    return STRACE is not None and subprocess.run(command, check=False).returncode == 0


@pytest.mark.slow
@pytest.mark.timeout(0 if SOAK else 120)
@pytest.mark.parametrize("calls", CALLS)
def test_a_fault_at_any_call_loses_nothing_and_a_restart_ends_it_well(
    memory: Path, calls: str, invariants: Invariants, show: Callable[[str], None]
) -> None:
    """SIGKILL, a full, a failing and a read-only disk, at the N-th call of each kind."""
    _inject(calls, show, lambda fault, number: _round(memory, calls, fault, number, invariants))


@pytest.mark.slow
@pytest.mark.timeout(0 if SOAK else 120)
@pytest.mark.parametrize("calls", CALLS)
def test_a_fault_in_the_vault_loses_no_content_and_leaves_no_half_copy(
    memory: Path, calls: str, invariants: Invariants, show: Callable[[str], None]
) -> None:
    """While a path is copied, a copy is brought back, or those of an older version are moved."""
    _inject(
        calls, show, lambda fault, number: _vault_round(memory, calls, fault, number, invariants)
    )


def _inject(calls: str, show: Callable[[str], None], inject_one: Callable[[str, int], int]) -> None:
    if not _may_trace():
        pytest.skip("strace is not installed, or may not trace here")
    seed = int(os.environ.get("SEED", "0")) or secrets.randbelow(10**6)
    rng = random.Random(seed)  # noqa: S311 - a choice of faults
    count = 0
    for number in _numbers(rng):
        faults = FAULTS if SOAK else rng.sample(FAULTS, 1)
        injected = sum([inject_one(fault, number) for fault in faults])
        count += injected
        if not injected:
            break
    show(f"faults by strace: {count} at {calls}, up to the call {number}, SEED={seed}")


def _numbers(rng: random.Random) -> Iterator[int]:
    """Which calls fail: all until there is none, or some of the first ones."""
    yield from range(1, 1000) if SOAK else sorted(rng.sample(range(1, _PART + 1), 2))


def _vault_round(top: Path, calls: str, fault: str, number: int, invariants: Invariants) -> int:
    shutil.rmtree(top / "stages", ignore_errors=True)
    written = list(vault_faults.stages(top / "stages"))
    for stage in written:
        stage.write()
    count = inject(top / "stages", calls, fault, number, top / "log", vault_faults.PROGRAM)
    invariants.faults[f"{fault} at {calls}" if SOAK else fault] += count
    for stage in written:
        try:
            stage.converge(invariants)
        except AssertionError as error:
            error.add_note(f"{stage.top.name}: {fault} at call {number} of {calls}")
            raise
    return count


def _round(top: Path, calls: str, fault: str, number: int, invariants: Invariants) -> int:
    shutil.rmtree(top / "stages", ignore_errors=True)
    written = {stage: stage.write() for stage in stages(top / "stages")}
    count = inject(top / "stages", calls, fault, number, top / "log")
    invariants.faults[f"{fault} at {calls}" if SOAK else fault] += count
    for stage, everything in written.items():
        try:
            converge(stage, everything, invariants)
        except AssertionError as error:
            error.add_note(f"{stage.top.name}: {fault} at call {number} of {calls}")
            raise
    return count
