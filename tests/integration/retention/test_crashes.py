"""SIGKILL before every single change that pruning makes: enough stays, and a restart ends it well.

A child process is killed at its N-th call that changes the file system or the ledger, for every
N until one run comes through. After each the invariants are looked at on the real disk.
"""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from checkpointd.config import RetentionSettings
from checkpointd.ledger import Ledger, State
from checkpointd.retention import Pruner, find_references, plan
from checkpointd.retention import files as retention_files
from tests.helpers import invariants as invariant
from tests.helpers.ledger import WRITERS, generation_on_disk, record_verdict, tree
from tests.helpers.retention import limits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.helpers.invariants import Invariants

FLOOR = 2
COUNT = 4
REMOVED = COUNT - 2
POLICY = RetentionSettings(keep_last=2, keep_min_valid=FLOOR, min_age="1ms", mode="enforce")
CHANGES = ("mkdir", "rename", "unlink", "rmdir", "fsync", "open", "write", "posix_fallocate")


@pytest.fixture
def top(tmp_path: Path) -> Iterator[Path]:
    """A directory in memory if there is such: hundreds of runs wait for hundreds of fsyncs."""
    memory = Path("/dev/shm")  # noqa: S108 - a directory of our own is made in it
    if not os.access(memory, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=memory, prefix="checkpointd-test-") as made:
        yield Path(made)


class Stage:
    """A root with some checkpoints and a ledger that knows them, made anew for each crash."""

    def __init__(self, top: Path, kind: str) -> None:
        self.top, self.kind = top, kind
        self.root, self.state = top / "root", top / "state"

    def write(self) -> None:
        """Lay everything out from scratch."""
        shutil.rmtree(self.top, ignore_errors=True)
        self.root.mkdir(parents=True)
        self.state.mkdir()
        (self.top / "outside.txt").write_text("not ours")
        (self.root / "notes.txt").write_text("the user's")
        ledger = Ledger.open(self.state)
        for number in range(COUNT):
            record_verdict(
                ledger, WRITERS[self.kind](self.root / "run" / f"ckpt-{number}", 1000.0 + number)
            )
        ledger.close()

    def prune(self, ledger: Ledger, pruner: Pruner | None = None) -> None:
        """Plan and carry out, as the daemon does."""
        references = find_references(str(self.root))
        made = plan(ledger.entries("w"), POLICY, time.time(), references)
        results = (pruner or Pruner(str(self.root), ledger)).apply(made)
        assert all(result.done for result in results), results

    def intact(self, everything: dict[str, Any]) -> int:
        """How many checkpoints lie at their place, byte for byte."""
        now = tree(self.root)
        names = {name: [f for f in everything if _belongs(f, name)] for name in _names(everything)}
        return sum(all(now.get(f) == everything[f] for f in own) for own in names.values())


class Pruned(Stage):
    """A stage after a pruning."""

    def write(self) -> None:
        """Lay everything out, and prune."""
        super().write()
        ledger = Ledger.open(self.state)
        self.prune(ledger)
        ledger.close()


def _names(everything: dict[str, Any]) -> list[str]:
    return sorted({f"ckpt-{n}" for n in range(COUNT) if any(f"ckpt-{n}" in f for f in everything)})


def _belongs(file: str, name: str) -> bool:
    return f"run/{name}" in file and not file.endswith(".golden.npz")


def _die_at(number: int, ledger: Ledger) -> None:
    """Have this process killed at its `number`-th change from now on."""
    count = itertools.count(1)

    def counted(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **keys: Any) -> Any:
            if next(count) == number:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*args, **keys)

        return call

    for name in CHANGES:
        setattr(os, name, counted(getattr(os, name)))
    retention_files._renameat2 = counted(retention_files._renameat2)  # type: ignore[assignment,arg-type]
    for name in ("record_trashed", "record_restored", "pin"):
        setattr(ledger, name, counted(getattr(ledger, name)))


def _killed_at_each_step(
    act: Callable[[Ledger], None], stage: Stage, invariants: Invariants
) -> Iterator[int]:
    """Run `act` in children that die ever later; yields after each death."""
    for number in itertools.count(1):
        stage.write()
        child = os.fork()
        if child == 0:
            code = 70
            try:
                ledger = Ledger.open(stage.state)
                _die_at(number, ledger)
                act(ledger)
                code = 0
            finally:
                os._exit(code)
        _, status = os.waitpid(child, 0)
        if os.WIFEXITED(status):
            assert os.WEXITSTATUS(status) == 0
            assert number > 10
            return
        assert os.WTERMSIG(status) == signal.SIGKILL
        invariants.faults["SIGKILL"] += 1
        yield number


@pytest.mark.slow(40)
@pytest.mark.parametrize("kind", WRITERS)
def test_a_pruning_killed_anywhere_keeps_enough_and_converges(
    top: Path, kind: str, invariants: Invariants
) -> None:
    """At every instant the floor holds and nothing else changes; a restart ends as if unkilled."""
    stage = Stage(top / "s", kind)
    stage.write()
    everything = tree(stage.root)
    ledger = Ledger.open(stage.state)
    stage.prune(ledger)
    ledger.close()
    expected = tree(stage.root)
    assert stage.intact(everything) == 2
    for number in _killed_at_each_step(stage.prune, stage, invariants):
        invariants.never(invariant.FLOOR, stage.intact(everything) < FLOOR, number)
        others = (stage.top / "outside.txt").read_text(), (stage.root / "notes.txt").read_text()
        invariants.never(invariant.OUTSIDE, others != ("not ours", "the user's"), number)
        ledger = Ledger.open(stage.state)
        assert not ledger.rebuilt
        pruner = Pruner(str(stage.root), ledger)
        recovered = pruner.recover()
        assert not [r for r in recovered if r.outcome == "unclear"], (number, recovered)
        invariants.never(invariant.FLOOR, stage.intact(everything) < FLOOR, number)
        stage.prune(ledger, pruner)
        invariants.never(invariant.END, tree(stage.root) != expected, number)
        states = [e.state for e in ledger.entries(states=list(State))]
        assert sorted(states) == [State.TRASHED] * REMOVED + [State.VALID] * 2, number
        assert [r.outcome for r in pruner.recover()] == ["moved"] * REMOVED
        for item in pruner.trash.items():
            pruner.restore(item.id)
        invariants.never(invariant.LOST, tree(stage.root) != everything, number)
        ledger.close()


@pytest.mark.slow
@pytest.mark.parametrize("kind", WRITERS)
def test_a_restore_killed_anywhere_loses_nothing(
    top: Path, kind: str, invariants: Invariants
) -> None:
    """What was on its way back is back, or still in the trash and can be restored again."""
    stage = Stage(top / "s", kind)
    stage.write()
    everything = tree(stage.root)
    wanted = str(stage.root / "run" / "ckpt-0")

    stage = Pruned(top / "s", kind)

    def restore(ledger: Ledger) -> None:
        Pruner(str(stage.root), ledger).restore(wanted)

    for number in _killed_at_each_step(restore, stage, invariants):
        if os.path.exists(wanted + ".index"):
            assert set(tree(stage.root)) >= {f for f in everything if "ckpt-0.data" in f}, number
        ledger = Ledger.open(stage.state)
        pruner = Pruner(str(stage.root), ledger)
        assert not [r for r in pruner.recover() if r.outcome == "unclear"], number
        if wanted in [item.path for item in pruner.trash.items()]:
            pruner.restore(wanted)
        own = {f: data for f, data in everything.items() if "ckpt-0" in f}
        now = tree(stage.root)
        invariants.never(invariant.LOST, {f: now.get(f) for f in own} != own, number)
        assert len(pruner.trash.items()) == REMOVED - 1
        assert len(os.listdir(stage.root / ".checkpointd-trash")) == REMOVED
        ledger.close()


@pytest.mark.slow
def test_an_expiry_killed_anywhere_is_finished(top: Path, invariants: Invariants) -> None:
    """What has begun to be deleted is never restored by half."""
    stage = Pruned(top / "s", "directory")

    def expire(ledger: Ledger) -> None:
        expired = Pruner(str(stage.root), ledger).expire(limits(time.time() + 10, 1))
        assert len(expired.deleted) == REMOVED

    for number in _killed_at_each_step(expire, stage, invariants):
        ledger = Ledger.open(stage.state)
        pruner = Pruner(str(stage.root), ledger)
        assert not [r for r in pruner.recover() if r.outcome == "unclear"], number
        for item in pruner.trash.items():
            path = pruner.restore(item.id).path
            assert generation_on_disk(path, [m.name for m in item.manifest.generation.members])
        assert os.listdir(stage.root / ".checkpointd-trash") == ["reserve"], number
        ledger.close()
