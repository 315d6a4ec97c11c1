"""A scan leaves the page cache as it was."""

from __future__ import annotations

import ctypes
import mmap
import os
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.helpers.scan import scanned, write_weights

if TYPE_CHECKING:
    from pathlib import Path

_SIZE = 48 << 20
_LEFT = 2 << 20
_RWF_DONTCACHE = 0x80


def resident(path: Path) -> int:
    """How many bytes of a file are in the page cache."""
    libc = ctypes.CDLL(None, use_errno=True)
    pages = -(-path.stat().st_size // mmap.PAGESIZE)
    found = (ctypes.c_ubyte * pages)()
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
        address = ctypes.c_char.from_buffer(mapped)
        size = ctypes.c_size_t(len(mapped))
        assert libc.mincore(ctypes.byref(address), size, found) == 0, os.strerror(
            ctypes.get_errno()
        )
        del address
    return sum(page & 1 for page in found) * mmap.PAGESIZE


def evict(path: Path) -> None:
    """Drop a file from the page cache."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def drops(path: Path) -> bool:
    """Whether reads can leave the page cache as it was, by the kernel and the file system."""
    with path.open("rb", buffering=0) as file:
        try:
            os.preadv(file.fileno(), [bytearray(1)], 0, _RWF_DONTCACHE)
        except OSError:
            return False
    evict(path)
    return True


@pytest.mark.parametrize("chunks", [None, (1 << 18,)])
def test_pages_that_a_scan_brought_in_leave_with_it_and_others_stay(
    tmp_path: Path, chunks: tuple[int] | None
) -> None:
    """A cold file is cold again afterwards, a warm one is still warm, half of one still half."""
    path = tmp_path / "m.weights.h5"
    write_weights(path, {"a": np.ones(_SIZE // 4, np.float32)}, chunks=chunks)
    evict(path)
    if resident(path) or not drops(path):
        pytest.skip("not on this file system, or not before Linux 6.14")
    assert scanned(path).clean
    assert resident(path) < _LEFT
    evict(path)
    with path.open("rb") as file:
        file.seek(_SIZE // 2)
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_RANDOM)
        file.read()
    before = resident(path)
    assert scanned(path).clean
    assert before <= resident(path) < before + _LEFT
