"""A file system that never answers, as a dead NFS server's: its callers wait, unkillably.

It is a FUSE mount whose server (this process) greets the kernel and then answers nothing; the
protocol is that of linux/fuse.h. Only root can mount it.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import struct
import threading
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_HEADER = struct.Struct("<IiQ")
_REQUEST = struct.Struct("<IIQ")
_VERSION = (7, 31)
_INIT_BYTES = 64
_MNT_FORCE, _MNT_DETACH = 1, 2

needs_fuse = pytest.mark.skipif(
    os.geteuid() != 0 or not os.access("/dev/fuse", os.R_OK | os.W_OK),
    reason="only root can mount a file system that hangs",
)


@contextlib.contextmanager
def hung_file_system(mountpoint: Path) -> Iterator[Path]:
    """Create a directory and mount it there; processes that hang in it are released at the end."""
    mountpoint.mkdir()
    libc = ctypes.CDLL(None, use_errno=True)
    device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    options = f"fd={device},rootmode=40000,user_id=0,group_id=0".encode()
    if libc.mount(b"hung", os.fsencode(mountpoint), b"fuse", 0, options):
        os.close(device)
        pytest.skip(f"no FUSE here: {os.strerror(ctypes.get_errno())}")
    threading.Thread(target=_greet, args=(device,), daemon=True).start()
    try:
        yield mountpoint
    finally:
        libc.umount2(os.fsencode(mountpoint), _MNT_FORCE | _MNT_DETACH)
        os.close(device)


def _greet(device: int) -> None:
    """Answer the kernel's first message, and read later ones without an answer: callers wait."""
    with contextlib.suppress(OSError):
        _, _, unique = _REQUEST.unpack_from(os.read(device, 1 << 20))
        body = struct.pack("<II", *_VERSION).ljust(_INIT_BYTES, b"\0")
        os.write(device, _HEADER.pack(_HEADER.size + len(body), 0, unique) + body)
        while True:
            os.read(device, 1 << 20)
