"""A listening socket that admits connections before asyncio and TLS see them.

asyncio accepts whatever comes, and aiohttp learns of a connection only after its TLS handshake:
silent clients could use up the daemon's file descriptors. Here each connection is counted as it
is accepted, and until its socket is closed.
"""

from __future__ import annotations

import errno
import socket
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from checkpointd.observe.web.connections import Connection, Connections

_EXHAUSTED = (errno.EMFILE, errno.ENFILE)


class Listener(socket.socket):
    """Accepts what `connections` admits.

    Args:
        fileno: a bound socket; this object closes it.
        connections: decides, and counts.
    """

    def __init__(self, fileno: int, connections: Connections) -> None:
        super().__init__(fileno=fileno)
        self.is_paused = False
        self._connections = connections
        self._exhausted = False

    def accept(self) -> tuple[socket.socket, Any]:
        """Return the next connection and its address.

        Raises:
            BlockingIOError: nothing is accepted any more.
            ConnectionAbortedError: it is not admitted; asyncio then tries again later.
            OSError: no file descriptor is free; asyncio logs this and waits for a second.
        """
        if self.is_paused:
            raise BlockingIOError
        try:
            plain, address = super().accept()
        except OSError as error:
            # asyncio goes on accepting, and would log the same as often as its backlog is long.
            repeated, self._exhausted = self._exhausted, error.errno in _EXHAUSTED
            if repeated and self._exhausted:
                self._exhausted = False
                raise ConnectionAbortedError(error.strerror) from error
            raise
        sock = _Accepted(plain.detach(), self._connections)
        try:
            sock.connection = self._connections.admit(sock, address)
        except OSError:
            sock.connection = None  # It has gone already.
        if sock.connection is None:
            sock.close()
            raise ConnectionAbortedError("not admitted")
        return sock, address


class _Accepted(socket.socket):
    """Reports when it is closed, however far the handshake or the request has come."""

    def __init__(self, fileno: int, connections: Connections) -> None:
        super().__init__(fileno=fileno)
        self.connection: Connection | None = None
        self._connections = connections

    def close(self) -> None:
        super().close()
        if self.connection is not None:
            self._connections.forget(self.connection)
