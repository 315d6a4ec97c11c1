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
