"""Mounts that a test makes and breaks: a FUSE mount stands in for NFS, and can be made to hang."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_SECONDS = 60.0


@dataclass
class Fuse:
    """A directory `behind`, and the same through FUSE at `mount`."""

    behind: Path
    mount: Path
    process: subprocess.Popen[bytes] | None = None

    def up(self) -> None:
        """Mount it, with nothing cached by the kernel."""
        options = "attr_timeout=0,entry_timeout=0,negative_timeout=0"
        command = ["bindfs", "-f", "-o", options, str(self.behind), str(self.mount)]
        self.process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + _SECONDS
        while not os.path.ismount(self.mount):
            assert time.monotonic() < deadline, "bindfs did not mount"
            time.sleep(0.02)

    def hang(self) -> None:
        """Stop to answer, as an NFS server does that is gone."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def answer(self) -> None:
        """Answer again."""
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def down(self) -> None:
        """Unmount it, whatever state it is in."""
        if self.process is None:
            return
        self.answer()
        subprocess.run(["umount", "-l", str(self.mount)], check=False, capture_output=True)
        self.process.terminate()
        self.process.wait(_SECONDS)
        self.process = None


def without(reason: str) -> None:
    """Skip a test that this machine cannot run; in CI, which installs what is needed, fail."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@contextlib.contextmanager
def fuse(home: Path) -> Iterator[Fuse]:
    """A FUSE mount below `home`; the test is skipped where none can be made."""
    if shutil.which("bindfs") is None or not os.path.exists("/dev/fuse") or os.geteuid() != 0:
        without("a FUSE mount needs root, /dev/fuse and bindfs")
    mounted = Fuse(home / "behind", home / "mount")
    mounted.behind.mkdir()
    mounted.mount.mkdir()
    mounted.up()
    try:
        yield mounted
    finally:
        mounted.down()
