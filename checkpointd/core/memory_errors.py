"""Whether an error was caused by too little memory. Python 3.9, standard library only."""

from __future__ import annotations

import os
import re

MEMORY = "CHECKPOINTD_MEMORY_BYTES"
"""Environment variable of a child: the bytes that it may hold; 0 or absent for no limit."""

_SIGNS = re.compile(
    r"OOM when allocating|ResourceExhaustedError|RESOURCE_EXHAUSTED|\bMemoryError\b"
    r"|[Uu]nable to allocate|[Cc]annot allocate memory"
    r"|[Ff]ailed to allocate (?:memory|[\d.]+ ?\w*B)"
    r"|\bbad_alloc\b|std::bad_array_new_length|\b[Oo]ut of memory\b"
    r"|could not (?:create|execute) a (?:primitive|memory)"
)
"""What libraries write: TensorFlow, Python, NumPy, libc, C++, oneDNN."""

_DEEPEST = 16


def mentions_memory(text: str) -> bool:
    """Whether a library's message is about memory that it could not allocate."""
    return _SIGNS.search(text) is not None


def is_memory_error(error: BaseException) -> bool:
    """Whether an exception, or one that led to it, is about memory."""
    for _ in range(_DEEPEST):
        if isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError":
            return True
        if mentions_memory(str(error)):
            return True
        before = error.__cause__ or error.__context__
        if before is None:
            return False
        error = before
    return False


def has_memory_for(more: int) -> bool:
    """Whether this process may use `more` bytes before the daemon kills it."""
    bound = int(os.environ.get(MEMORY) or 0)
    if not bound:
        return True
    with open("/proc/self/status", encoding="ascii", errors="replace") as file:
        return held_bytes(file.read()) + more <= bound


def held_bytes(status: str) -> int:
    """The bytes that a process alone holds, by /proc/PID/status; 0 when it has ended.

    Files that it has mapped do not count: the kernel takes those back whenever it needs to.
    """
    return sum(
        int(line.split()[1]) << 10
        for line in status.splitlines()
        if line.startswith(("RssAnon:", "RssShmem:", "VmSwap:"))
    )
