"""Faults of the operating system in what retention does to a disk, injected by strace.

`python -m tests.helpers.faults DIRECTORY` performs the act of every stage below a directory, each
in a process of its own, which is what strace counts the calls of. It makes none of them itself.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
import traceback
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from checkpointd.config import RetentionSettings
from checkpointd.ledger import Ledger, LedgerError, State
from checkpointd.retention import Pruner, TrashError, find_references, plan
from checkpointd.retention.root import RootKeeper
from checkpointd.retention.trash.place import TrashPlace, trash_place
from tests.helpers.invariants import END, FLOOR, GOLDEN, LOST, OUTSIDE
from tests.helpers.ledger import WRITERS, generation_on_disk, record_verdict, tree
from tests.helpers.retention import limits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.helpers.invariants import Invariants

STRACE = shutil.which("strace")
CALLS = {
    "rename": "rename,renameat,renameat2",
    "unlink": "unlink,unlinkat,rmdir",
    "fsync": "fsync,fdatasync",
    "write": "write,pwrite64,writev",
    "mkdir": "mkdir,mkdirat",
    "truncate": "ftruncate,fallocate",
}
"""What changes a disk: system calls by what they are for."""

FAULTS = ("SIGKILL", "ENOSPC", "EIO", "EROFS")
COUNT, KEPT = 4, 2
POLICY = RetentionSettings(
    keep_last=KEPT, keep_min_valid=KEPT, min_age="1ms", mode="enforce", trash_ttl="1s"
)
_PINNED = "ckpt-3"
_OUTSIDE, _NOTES, _TRASH = "outside.txt", "notes.txt", "trash"
_UNEXPECTED = 70


@dataclass(frozen=True)
class NamedStage:
    """A root and a ledger in a directory whose name says what is done with which kind."""

    top: Path

    @property
    def act(self) -> str:
        """What is done to it."""
        return self.top.name.split("-")[0]

    @property
    def kind(self) -> str:
        """What a checkpoint is on disk."""
        return self.top.name.split("-")[1]

    @property
    def root(self) -> Path:
        """The watched directory."""
        return self.top / "root"


class Stage(NamedStage):
    """A root with some checkpoints and a ledger that knows them."""

    @property
    def place(self) -> TrashPlace:
        """Where the trash is: of half of the kinds in a directory of its own."""
        elsewhere = str(self.top / _TRASH) if self.kind in ("file", "keras") else ""
        return trash_place(str(self.root), elsewhere)

    def open(self) -> tuple[Ledger, Pruner]:
        """As a start of the daemon does."""
        ledger = Ledger.open(self.top / "state")
        return ledger, Pruner(str(self.root), ledger, self.place)

    def write(self) -> dict[str, bytes]:
        """Lay everything out from scratch; returns all files."""
        self.root.mkdir(parents=True)
        (self.top / "state").mkdir()
        (self.top / _TRASH).mkdir()
        (self.top / _OUTSIDE).write_text("not ours")
        (self.root / _NOTES).write_text("the user's")
        ledger, pruner = self.open()
        for number in range(COUNT):
            path = self.root / "run" / f"ckpt-{number}"
            record_verdict(ledger, WRITERS[self.kind](path, 1000.0 + number))
        everything = tree(self.root)
        if self.act != "prune":
            prune(self, ledger, pruner)
        ledger.close()
        return everything


def prune(stage: Stage, ledger: Ledger, pruner: Pruner) -> None:
    """Plan and carry out, as the daemon does."""
    named = find_references(str(stage.root))
    pruner.apply(plan(ledger.entries("w"), POLICY, time.time(), named))


def restore(stage: Stage, ledger: Ledger, pruner: Pruner) -> None:
    """Bring one back."""
    wanted = str(stage.root / "run" / "ckpt-0")
    if any(item.path == wanted for item in pruner.trash.items()):
        pruner.restore(wanted)


def restore_all(stage: Stage, ledger: Ledger, pruner: Pruner) -> None:
    """Bring back everything."""
    for item in pruner.trash.items():
        pruner.restore(item.id)


def expire(stage: Stage, ledger: Ledger, pruner: Pruner) -> None:
    """Delete everything in the trash for good."""
    pruner.expire(limits(time.time() + 10, 1))


def pin(stage: Stage, ledger: Ledger, pruner: Pruner) -> None:
    """Pin one, and have the root know it."""
    ledger.pin(str(stage.root / "run" / _PINNED))
    synchronize(stage, ledger)


def synchronize(stage: Stage, ledger: Ledger) -> None:
    """What the daemon does with the records of a root before each round."""
    keeper = RootKeeper("w", stage.place, ledger)
    with keeper.locked(enforce=True) as holder:
        keeper.synchronize(holder, enforce=True)


ACTS: dict[str, Callable[[Stage, Ledger, Pruner], None]] = {
    "prune": prune,
    "restore": restore,
    "restoreall": restore_all,
    "expire": expire,
    "pin": pin,
}
"""What retention does to a disk, by name."""


def names_of(files: dict[str, bytes]) -> set[str]:
    """The checkpoints that files belong to."""
    return {match.group() for file in files if (match := re.search(r"ckpt-\d", file))}


def intact(root: Path, everything: dict[str, bytes]) -> set[str]:
    """The checkpoints that lie at their place, byte for byte, golden record aside."""
    now = tree(root)
    return {
        name
        for name in names_of(everything)
        if all(
            now.get(file) == data
            for file, data in everything.items()
            if name in file and not file.endswith(".golden.npz")
        )
    }


def inject(
    top: Path, calls: str, fault: str, number: int, log: Path, program: str = "tests.helpers.faults"
) -> int:
    """Perform all acts below a directory, each with a fault at its `number`-th call of a kind.

    Returns:
        How many faults there were.
    """
    kills = fault == "SIGKILL"
    how = "signal=KILL" if kills else f"error={fault}"
    filtered = () if kills else ("--seccomp-bpf",)  # with it only the first call can be killed
    traced = CALLS[calls]
    done = subprocess.run(
        [
            *(str(STRACE), "-f", *filtered, "-o", str(log), "-e", f"trace={traced}"),
            *("-e", f"inject={traced}:{how}:when={number}"),
            *(sys.executable, "-W", "error", "-m", program, str(top)),
        ],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    text = log.read_text(errors="replace")
    unexpected = f"+++ exited with {_UNEXPECTED} +++" in text
    assert done.returncode == 0, (done.returncode, done.stderr)
    assert not unexpected, done.stderr
    if kills:
        return text.count("+++ killed by SIGKILL +++")
    return text.count("(INJECTED)")


def converge(stage: Stage, everything: dict[str, bytes], invariants: Invariants) -> None:
    """Start again after a fault, and look at all that must hold before and after."""
    kept = {f"ckpt-{n}" for n in range(COUNT - KEPT, COUNT)}
    present = intact(stage.root, everything)
    invariants.never(FLOOR, len(present) < KEPT, present)
    invariants.never(LOST, kept - present)
    untouched = (stage.top / _OUTSIDE).read_text(), (stage.root / _NOTES).read_text()
    others = set(os.listdir(stage.top)) ^ {"root", "state", _OUTSIDE, _TRASH}
    changed = untouched != ("not ours", "the user's") or others
    invariants.never(OUTSIDE, changed, (untouched, others))
    ledger, pruner = stage.open()
    invariants.never(END, ledger.rebuilt, "the ledger was taken for a broken one")
    unclear = [found for found in pruner.recover() if found.outcome == "unclear"]
    invariants.never(END, unclear)
    present = intact(stage.root, everything)
    invariants.never(FLOOR, len(present) < KEPT, present)
    trashed = {item.path.rpartition("/")[2] for item in pruner.trash.items()}
    missing = names_of(everything) - present - trashed
    invariants.never(LOST, missing if stage.act != "expire" else kept - present)
    _orphans(stage, everything, invariants)
    _verify_touched(ledger)
    ACTS[stage.act](stage, ledger, pruner)
    _orphans(stage, everything, invariants)
    if stage.act == "prune":
        invariants.never(END, intact(stage.root, everything) ^ kept)
        states = Counter(entry.state for entry in ledger.entries(states=list(State)))
        invariants.never(END, states != {State.TRASHED: COUNT - KEPT, State.VALID: KEPT}, states)
    if stage.act == "pin":
        ledger.close()
        shutil.rmtree(stage.top / "state")
        (stage.top / "state").mkdir()
        ledger, pruner = stage.open()
        synchronize(stage, ledger)
        pinned = [pin.path for pin in ledger.pins()]
        invariants.never(LOST, pinned != [str(stage.root / "run" / _PINNED)], pinned)
    if stage.act == "expire":
        left = set(os.listdir(stage.place.directory)) - {"reserve"}
        invariants.never(END, left)
        invariants.never(LOST, kept - intact(stage.root, everything))
    else:
        restore_all(stage, ledger, pruner)
        now = tree(stage.root)
        invariants.never(LOST, now != everything, sorted(set(now) ^ set(everything)))
    ledger.close()


def _verify_touched(ledger: Ledger) -> None:
    """As the daemon does with what was moved and moved back: a move changes the change time."""
    for entry in ledger.entries("w", states=[State.VALID]):
        found = generation_on_disk(entry.path, [m.name for m in entry.generation.members])
        if found != entry.generation:
            record_verdict(ledger, (entry.checkpoint, found))


def _orphans(stage: Stage, everything: dict[str, bytes], invariants: Invariants) -> None:
    now = tree(stage.root)
    golden = {file for file in now if file.endswith(".golden.npz") and stage.kind == "prefix"}
    there = intact(stage.root, everything)
    invariants.never(GOLDEN, {file for file in golden if not names_of({file: b""}) <= there})


def stages(top: Path) -> Iterator[Stage]:
    """A stage for each act and each kind of checkpoint, not written yet."""
    for act in ACTS:
        for kind in WRITERS:
            yield Stage(top / f"{act}-{kind}")


def _act(directory: Path) -> None:
    stage = Stage(directory)
    ledger, pruner = stage.open()
    ACTS[stage.act](stage, ledger, pruner)
    ledger.close()


def perform_all(top: Path, act: Callable[[Path], None]) -> None:
    """Perform an act on each directory; refusals of the disk are what is expected."""
    for directory in sorted(top.iterdir()):
        child = os.fork()
        if child == 0:
            os._exit(_outcome(act, directory))
        os.waitpid(child, 0)


def _outcome(act: Callable[[Path], None], directory: Path) -> int:
    try:
        act(directory)
    except (LedgerError, TrashError, OSError):
        return 0
    except BaseException:  # noqa: BLE001 - reported by the exit code
        traceback.print_exc()
        return _UNEXPECTED
    return 0


if __name__ == "__main__":
    perform_all(Path(sys.argv[1]), _act)
