"""Notifies systemd: ready, alive, reloading, stopping. See sd_notify(3).

Written here because it is one datagram, and the libraries for it are unmaintained or need a
compiler.
"""

from __future__ import annotations

import os
import socket
import time
from typing import TYPE_CHECKING

from checkpointd.core.text import utf8

if TYPE_CHECKING:
    from collections.abc import MutableMapping

_SEND_SECONDS = 1.0
_MICROSECONDS = 1_000_000


class Notifier:
    """Notifies the service manager; without one, every method does nothing.

    Removes `NOTIFY_SOCKET` and the watchdog's variables from the environment, so that no child
    can send messages as if it were the daemon.

    Args:
        environ: where to read and remove them; the environment of this process by default.

    Attributes:
        watchdog_interval: seconds between two calls of `watchdog`, half of what systemd allows;
            None when systemd does not watch this process.
    """

    def __init__(self, environ: MutableMapping[str, str] | None = None) -> None:
        env = os.environ if environ is None else environ
        address = env.pop("NOTIFY_SOCKET", "")
        usec = env.pop("WATCHDOG_USEC", "")
        pid = env.pop("WATCHDOG_PID", "")
        self.watchdog_interval: float | None = None
        if usec.isdecimal() and int(usec) and pid in ("", str(os.getpid())):
            self.watchdog_interval = int(usec) / _MICROSECONDS / 2
        self._socket: socket.socket | None = None
        if address[:1] in ("/", "@"):
            target = f"\0{address[1:]}" if address.startswith("@") else address
            self._socket = _connect(target)

    @property
    def enabled(self) -> bool:
        """Whether there is a service manager to notify."""
        return self._socket is not None

    def ready(self, status: str = "") -> bool:
        """Notify that the service is up, or that a reload has ended."""
        return self._send("READY=1", _status(status))

    def status(self, text: str) -> bool:
        """Set the line that `systemctl status` shows."""
        return self._send(_status(text))

    def watchdog(self) -> bool:
        """Notify that real progress was made; never call it from a timer alone."""
        return self._send("WATCHDOG=1")

    def reloading(self) -> bool:
        """Notify that a reload has begun; `ready` ends it."""
        usec = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        return self._send("RELOADING=1", f"MONOTONIC_USEC={usec}")

    def stopping(self, status: str = "") -> bool:
        """Notify that the service is stopping."""
        return self._send("STOPPING=1", _status(status))

    def extend(self, seconds: float) -> bool:
        """Ask for more time to start, reload or stop, counted from now."""
        return self._send(f"EXTEND_TIMEOUT_USEC={int(seconds * _MICROSECONDS)}")

    def close(self) -> None:
        """Close the socket; later calls do nothing."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, *assignments: str) -> bool:
        if self._socket is None:
            return False
        try:
            self._socket.send("\n".join(a for a in assignments if a).encode())
        except OSError:  # the daemon goes on without its service manager
            return False
        return True


def _connect(target: str) -> socket.socket | None:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
    sock.settimeout(_SEND_SECONDS)
    try:
        sock.connect(target)
    except OSError:
        sock.close()
        return None
    return sock


def _status(text: str) -> str:
    line = " ".join(utf8(text).split())
    return f"STATUS={line}" if line else ""
