"""Runs inside a real systemd: asks the status page from this host, and as if from another one.

Prints `ok` with the name of the fact if only the first is answered, as `IPAddressDeny=` and
`IPAddressAllow=` of checkpointd.socket have it; it takes a kernel with BPF for cgroups.
"""

from __future__ import annotations

import fcntl
import socket
import struct

ELSEWHERE = "192.0.2.1"
_SIOCSIFADDR = 0x8916


def answers(source: str, port: int) -> bool:
    """Whether a connection from an address of ours comes about."""
    with socket.socket() as asking:
        asking.settimeout(1)
        asking.bind((source, 0))
        try:
            asking.connect(("127.0.0.1", port))
        except TimeoutError:
            return False
        return True


with socket.socket() as free, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
    address = struct.pack(
        "16sH2s4s8s", b"lo:1", socket.AF_INET, b"", socket.inet_aton(ELSEWHERE), b""
    )
    fcntl.ioctl(control, _SIOCSIFADDR, address)
    free.bind(("127.0.0.1", 0))
    free.listen()
    if answers(ELSEWHERE, free.getsockname()[1]) and answers("127.0.0.1", 9746):
        refused = not answers(ELSEWHERE, 9746)
        print("ok only this host is let in" if refused else "let in from elsewhere")  # noqa: T201
