"""What a scene of `tests.helpers.scenes` consists of: what is written, when, and what must stay."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

HEAD = """
[daemon]
state_dir = "state"
log_format = "json"

[web]
listen = "127.0.0.1:0"
"""
SCAN_ONLY = 'skip = ["drift", "load", "signatures", "inference", "predictions", "resume"]'
NEVER_ASK = 'confirm = "never"'
HOUR, DAY = 3600.0, 86400.0


@dataclass(frozen=True)
class Save:
    """One checkpoint to be written; `age` is by how much its save time lies before now."""

    name: str
    age: float | None = 0.0
    at: float | None = None
    good: bool = True

    def write(self, root: Path, made: Path, now: float) -> None:
        """Write it as a job or a copy does: under another name first, where it is one file."""
        path = root / self.name
        path.parent.mkdir(parents=True, exist_ok=True)
        when = self.at if self.at is not None else now - (self.age or 0.0)
        if self.name.endswith(".h5"):
            part = path.with_name(f"{path.name}.tmp")
            shutil.copyfile(made / "only.weights.h5", part)
            if not self.good:
                os.truncate(part, part.stat().st_size // 2)
            os.utime(part, (when, when))
            part.rename(path)
        elif "ckpt-" in self.name:
            for suffix in (".data-00000-of-00001", ".index"):
                shutil.copyfile(made / f"ckpt-1{suffix}", f"{path}{suffix}")
                os.utime(f"{path}{suffix}", (when, when))
        else:
            shutil.copytree(made / "export", path)
            for file in path.rglob("*"):
                os.utime(file, (when, when))


@dataclass(frozen=True)
class Text:
    """A small file beside the checkpoints."""

    name: str
    text: str

    def write(self, root: Path, made: Path, now: float) -> None:
        """Write it."""
        path = root / self.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.text)


@dataclass(frozen=True)
class Link:
    """A symbolic link."""

    name: str
    target: str

    def write(self, root: Path, made: Path, now: float) -> None:
        """Create it."""
        path = root / self.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(self.target)


@dataclass(frozen=True)
class Touch:
    """The save time of what is there is set to now."""

    name: str

    def write(self, root: Path, made: Path, now: float) -> None:
        """Set it."""
        os.utime(root / self.name)


Action = Save | Text | Link | Touch


@dataclass(frozen=True)
class Scene:
    """A situation: `found` is there at the start, `saved` comes afterwards, `kept` must stay."""

    name: str
    found: tuple[Action, ...]
    kept: frozenset[str]
    saved: tuple[Action, ...] = ()
    policy: str = "keep_last = 3"
    watch: str = ""
    removed: int = 0
    """How many must go: where nothing is in doubt, pruning works."""


def is_there(root: Path, name: str) -> bool:
    """Whether a checkpoint lies at its place."""
    return any((root / f"{name}{suffix}").exists() for suffix in ("", ".index"))


def numbered(pattern: str, numbers: range | tuple[int, ...]) -> frozenset[str]:
    """The names of a pattern."""
    return frozenset(pattern.format(number) for number in numbers)


def aged(pattern: str, numbers: range, *, step: float = HOUR, last: float = DAY) -> list[Save]:
    """One after the other as a job saves them; the last one `last` seconds ago."""
    end = numbers[-1]
    return [Save(pattern.format(n), age=last + (end - n) * step) for n in numbers]


def shuffled(pattern: str, numbers: range, age: float = 600.0) -> tuple[Save, ...]:
    """As a parallel copy lays them down that keeps no times."""
    order = sorted(numbers, key=lambda n: (n * 7) % 13)
    return tuple(Save(pattern.format(n), age=age - 2 * i) for i, n in enumerate(order))


def each(pattern: str, values: tuple[object, ...], epochs: range = range(1, 4)) -> Scene:
    """Several models in one directory, trained one after the other: the last of each stays."""
    found = [
        Save(pattern.format(value, epoch), age=2 * DAY - 6000 * i - 60 * epoch)
        for i, value in enumerate(values)
        for epoch in epochs
    ]
    kept = frozenset(pattern.format(value, epochs[-1]) for value in values)
    return Scene(f"each of {pattern}", tuple(found), kept, policy="keep_last = 2")


def live(pattern: str, numbers: range, at: float | None = None, step: float = 60.0) -> list[Save]:
    """While the daemon runs, one each `step` seconds from `at` on, or as they come."""
    return [
        Save(pattern.format(n), at=None if at is None else at + i * step)
        for i, n in enumerate(numbers)
    ]


def all_of(pattern: str, numbers: range) -> Scene:
    """The parts of a whole, or models that have nothing to do with each other: all stay."""
    found = tuple(Save(pattern.format(n), age=DAY - n) for n in numbers)
    return Scene(
        f"all of {pattern}", found, frozenset(s.name for s in found), policy="keep_last = 2"
    )
