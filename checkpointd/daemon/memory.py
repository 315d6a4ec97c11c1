"""Returns memory that the daemon's process no longer needs to the system.

Without it the process stays as large as its largest plan was: glibc keeps what is freed for later,
in an arena for each of its threads.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
from typing import Any

_M_MMAP_THRESHOLD = -3
_M_ARENA_MAX = -8
_LARGE = 256 * 1024
_ARENAS = 2
_AT_ONCE = 500


def limit_unused_memory() -> None:
    """Make glibc keep less freed memory; call it before there is a second thread."""
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_ARENA_MAX, _ARENAS)
        libc.mallopt(_M_MMAP_THRESHOLD, _LARGE)


def release_unused_memory() -> None:
    """Return freed memory to the system, in some milliseconds. Does nothing without glibc."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def drop(items: list[Any]) -> None:
    """Empty a list of very many, and give back their memory.

    Little by little: to free all of them at once stops every other thread meanwhile.
    """
    while items:
        del items[-_AT_ONCE:]
    gc.collect()  # also empties Python's own lists of free objects, which keep pages in use
    release_unused_memory()
