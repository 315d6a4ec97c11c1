"""Carries a plan out: writes files under a root directory, and runs systemd's own programs."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from typing import TYPE_CHECKING

from checkpointd.systemd.plan import LINK, File, Step, step
from checkpointd.systemd.stamp import is_untouched

if TYPE_CHECKING:
    from collections.abc import Iterable

_SHELL_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_SECONDS = 60


class Disk:
    """The files of one system.

    Args:
        root: the directory that holds it; empty for this system.
        dry_run: change nothing.
    """

    def __init__(self, root: str = "", *, dry_run: bool = False) -> None:
        self.root = root.rstrip("/")
        self._dry_run = dry_run
        self.steps: list[tuple[Step, str]] = []

    def put(self, files: Iterable[File]) -> None:
        """Write what is missing or old; what was changed by hand gets a `.new` beside it."""
        for file in files:
            path = self.root + file.path
            what = step(file, self.read(file.path))
            self.steps.append((what, file.path))
            if self._dry_run:
                continue
            if what in (Step.WRITE, Step.UPDATE):
                _write(path, file.content, file.mode)
            elif what is Step.KEEP:
                _write(path + ".new", file.content, file.mode)
            if what is not Step.KEEP:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(path + ".new")

    def remove(self, paths: Iterable[str]) -> tuple[list[str], list[str]]:
        """Remove files that are as they were written; return those, and those that were changed."""
        removed, kept = [], []
        for path in paths:
            text = self.read(path)
            if text is None:
                continue
            if not is_untouched(text):
                kept.append(path)
                continue
            removed.append(path)
            if not self._dry_run:
                os.unlink(self.root + path)
                with contextlib.suppress(OSError):  # other drop-ins are there
                    if path.endswith(".conf"):
                        os.rmdir(os.path.dirname(self.root + path))
        return removed, kept

    def link(self, program: str) -> bool:
        """Make the program known to shells, unless they find one of its name; return whether."""
        if self.root or shutil.which("checkpointd", path=_SHELL_PATH):
            return False
        if not self._dry_run:
            os.makedirs(os.path.dirname(LINK), exist_ok=True)
            os.symlink(program, LINK)
        return True

    def unlink(self, program: str) -> bool:
        """Remove that link, if it leads to this program; return whether."""
        if self.root or not os.path.islink(LINK) or os.readlink(LINK) != program:
            return False
        if not self._dry_run:
            os.unlink(LINK)
        return True

    def run(self, *command: str) -> str:
        """Run one of systemd's programs on this system; return what it complains about."""
        program = shutil.which(command[0], path=_SHELL_PATH)
        if program is None:
            return f"{command[0]} is not installed."
        if self._dry_run:
            return ""
        where = [f"--root={self.root}"] if self.root else []
        try:
            done = subprocess.run(
                [program, *where, *command[1:]],
                capture_output=True,
                text=True,
                check=False,
                timeout=_SECONDS,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"{command[0]}: {error}"
        return done.stderr.strip() if done.returncode else ""

    def read(self, path: str) -> str | None:
        """The text of a file; None if there is none."""
        try:
            with open(self.root + path, encoding="utf-8", errors="surrogateescape") as file:
                return file.read()
        except FileNotFoundError:
            return None

    def exists(self, path: str) -> bool:
        """Whether anything has this path, also a link that leads nowhere."""
        return os.path.lexists(self.root + path)


def _write(path: str, text: str, mode: int) -> None:
    """Write a file whole or not at all."""
    directory = os.path.dirname(path)
    os.makedirs(directory, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=".checkpointd-", dir=directory)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(text)
            os.fchmod(file.fileno(), mode)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
