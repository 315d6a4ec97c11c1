"""Bytes and times of files that are already there."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


def set_times(order: Iterable[Path], start_ns: int = 1_700_000_000_000_000_000) -> None:
    """Give files modification times one second apart, in the order given."""
    for index, path in enumerate(order):
        time_ns = start_ns + index * 1_000_000_000
        os.utime(path, ns=(time_ns, time_ns))


def flip(path: Path, offset: int, bit: int = 0) -> None:
    """Flip one bit of a file."""
    data = bytearray(path.read_bytes())
    data[offset] ^= 1 << bit
    path.write_bytes(bytes(data))


def flip_in_place(path: Path, offset: int, bit: int = 0) -> None:
    """Flip one bit of a file that is too large to be held."""
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 1 << bit]))
