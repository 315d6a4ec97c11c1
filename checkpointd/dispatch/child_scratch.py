"""What one child gets from the dispatcher: a directory, a file for stderr; and its descriptors."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from checkpointd.core.remove_tree import remove_tree
from checkpointd.worker.protocol import SENTINEL

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterator

_STDERR_TAIL = 8 * 1024
_STDERR_BYTES = 64 * 1024 * 1024


def received_descriptors(forked: asyncio.Future[list[int]]) -> list[int]:
    """Return descriptors that arrived at the moment in which waiting for them was cancelled."""
    if forked.done() and not forked.cancelled() and forked.exception() is None:
        return forked.result()
    return []


def kill_and_close(descriptors: list[int]) -> None:
    """Kill a process if it is still there, and close its descriptors.

    Args:
        descriptors: its pidfd, and any others; empty if there is no process.
    """
    if descriptors:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(descriptors[0], signal.SIGKILL)
    for descriptor in descriptors:
        os.close(descriptor)


def open_process(pid: int) -> list[int]:
    """Return descriptors of a process: its pidfd, and its /proc/PID/status if it can be opened.

    Raises:
        OSError: it has ended.
    """
    descriptors = [os.pidfd_open(pid)]
    with contextlib.suppress(OSError):
        descriptors.append(os.open(f"/proc/{pid}/status", os.O_RDONLY | os.O_CLOEXEC))
    return descriptors


@contextlib.contextmanager
def child_scratch(kind: str, parent: Path) -> Iterator[tuple[Path, int]]:
    """Make a scratch directory and a file for stderr for one child; both are removed afterwards.

    Beside the directory is the sentinel file of the sandbox's self-test.

    Raises:
        OSError: they cannot be created.
    """
    scratch = Path(tempfile.mkdtemp(prefix=f"{kind}-", dir=parent))
    sentinel = Path(f"{scratch}{SENTINEL}")
    try:
        sentinel.touch(mode=0o600)
        stderr = os.memfd_create("stderr", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            os.ftruncate(stderr, _STDERR_BYTES)  # it is memory that no limit of the child counts
            fcntl.fcntl(stderr, fcntl.F_ADD_SEALS, fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK)
            yield scratch, stderr
        finally:
            os.close(stderr)
    finally:
        with contextlib.suppress(OSError):
            remove_tree(scratch)
        with contextlib.suppress(OSError):
            sentinel.unlink()


def tail(descriptor: int) -> str:
    """Return the end of what was written to a file, which may have been extended beforehand."""
    size = min(os.lseek(descriptor, 0, os.SEEK_CUR), os.fstat(descriptor).st_size)
    data = os.pread(descriptor, min(size, _STDERR_TAIL), max(0, size - _STDERR_TAIL))
    return data.decode(errors="replace").strip()
