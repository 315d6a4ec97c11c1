"""What a child is given of its own: a scratch directory, and a file for what it prints."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_STDERR_TAIL = 8 * 1024
_STDERR_BYTES = 64 * 1024 * 1024


@contextlib.contextmanager
def of_its_own(kind: str, parent: Path) -> Iterator[tuple[Path, int]]:
    """A scratch directory and a file for stderr, for one child; both are gone afterwards.

    Raises:
        OSError: they cannot be made.
    """
    scratch = Path(tempfile.mkdtemp(prefix=f"{kind}-", dir=parent))
    try:
        stderr = os.memfd_create("stderr", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            os.ftruncate(stderr, _STDERR_BYTES)  # it is memory, which no limit of the child counts
            fcntl.fcntl(stderr, fcntl.F_ADD_SEALS, fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK)
            yield scratch, stderr
        finally:
            os.close(stderr)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def tail(descriptor: int, end: int) -> str:
    """The last of what was printed, up to `end` bytes into the file."""
    start = max(0, end - _STDERR_TAIL)
    data = os.pread(descriptor, min(end, _STDERR_TAIL), start)
    return data.decode(errors="replace").strip()
