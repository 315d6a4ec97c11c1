"""The connections of a server: how many there may be, and which one is dropped for another.

A peer that opens thousands, or keeps them open, loses its own oldest silent one first, then one
that has been answered before, and never one that is being answered now. So a scrape always gets
through.
"""

from __future__ import annotations

import asyncio
import contextlib
import resource
import socket
import struct
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Peer = Callable[[socket.socket, object], str]
    Refused = Callable[[str], None]

MAX_CONNECTIONS = 64
"""In all; fewer where the daemon may open few files."""

HEADER_SECONDS = 10.0
"""For the TLS handshake and the headers of the first request together."""

_FILES_SHARE = 8
_LEAST = 8
_SLOW_SECONDS = 2.0
_POLL_SECONDS = 0.02
_RESET = struct.pack("ii", 1, 0)


@dataclass(eq=False)
class Connection:
    """One connection; times are the event loop's, in seconds.

    `answered` is set once a request was answered with 200, `busy_since` while a request is being
    answered. There is no `transport` before the TLS handshake is over.
    """

    peer: str
    sock: socket.socket
    since: float
    transport: asyncio.Transport | None = None
    answered: bool = False
    busy_since: float | None = None
    deadline: asyncio.TimerHandle | None = None

    def begin(self, now: float) -> None:
        """Record that a request has arrived whole."""
        self.busy_since = now
        if self.deadline is not None:
            self.deadline.cancel()

    def drop(self) -> None:
        """End it at once; the kernel discards an answer that was not read."""
        if self.busy_since is not None:
            with contextlib.suppress(OSError):
                self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        if self.transport is not None:
            self.transport.abort()
            return
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)


@dataclass(frozen=True)
class Limits:
    """How many connections: in all, and of one peer.

    With `slow_answers`, an answer that takes long is not dropped for another connection.
    """

    total: int
    per_peer: int
    slow_answers: bool = False


def limits(*, slow_answers: bool = False, files: int | None = None) -> Limits:
    """Return what this process can afford, by how many files it may have open."""
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0] if files is None else files
    if soft == resource.RLIM_INFINITY:
        soft = MAX_CONNECTIONS * _FILES_SHARE
    total = max(_LEAST, min(MAX_CONNECTIONS, soft // _FILES_SHARE))
    return Limits(total, total // 2, slow_answers)


class Connections:
    """Admits connections and drops those that send no request in time.

    Args:
        allowed: how many.
        peer: returns what a client is counted by, from its socket and address.
        refused: is called with `connections` or `time` for each one dropped.
    """

    def __init__(self, allowed: Limits, peer: Peer, refused: Refused) -> None:
        self._allowed = allowed
        self._peer = peer
        self._refused = refused
        self._present: set[Connection] = set()

    def __len__(self) -> int:
        """How many there are now."""
        return len(self._present)

    async def all_requested(self) -> None:
        """Wait until each one that was never answered has sent a whole request, or is gone."""
        while any(c.busy_since is None and not c.answered for c in self._present):  # noqa: ASYNC110 - each request would have to set an event
            await asyncio.sleep(_POLL_SECONDS)

    def find(self, fileno: int) -> Connection | None:
        """Return the one that has this file descriptor, if it has not been dropped."""
        return next((one for one in self._present if one.sock.fileno() == fileno), None)

    def admit(self, sock: socket.socket, address: object) -> Connection | None:
        """Count a new connection, or return None where it has to be closed."""
        loop = asyncio.get_running_loop()
        new = Connection(self._peer(sock, address), sock, loop.time())
        admitted, evicted = admission(self._present, new.peer, new.since, self._allowed)
        if evicted is not None:
            self._drop(evicted)
        if evicted is not None or not admitted:
            self._refused("connections")
        if not admitted:
            return None
        new.deadline = loop.call_later(HEADER_SECONDS, self._expire, new)
        self._present.add(new)
        return new

    def forget(self, connection: Connection) -> None:
        """Count it no more."""
        if connection.deadline is not None:
            connection.deadline.cancel()
        self._present.discard(connection)

    def drop_idle(self) -> None:
        """End every connection on which nothing is being answered."""
        for connection in [c for c in self._present if c.busy_since is None]:
            self._drop(connection)

    def _expire(self, connection: Connection) -> None:
        self._drop(connection)
        self._refused("time")

    def _drop(self, connection: Connection) -> None:
        self.forget(connection)
        connection.drop()


def admission(
    present: Iterable[Connection], peer: str, now: float, allowed: Limits
) -> tuple[bool, Connection | None]:
    """Decide about one more connection of a peer.

    Returns:
        Whether it is admitted, and which one has to be dropped for it, if any.
    """
    present = list(present)
    counts = Counter(one.peer for one in present)
    if counts[peer] >= allowed.per_peer:
        crowded = peer
    elif len(present) >= allowed.total:
        crowded = counts.most_common(1)[0][0]
    else:
        return True, None
    candidates = [
        (rank, one.since, one)
        for one in present
        if one.peer == crowded and (rank := _rank(one, now, allowed)) is not None
    ]
    if not candidates:
        return False, None
    return True, min(candidates, key=lambda c: c[:2])[2]


def _rank(connection: Connection, now: float, allowed: Limits) -> int | None:
    """Return how dispensable it is, 0 the most; None if it must stay."""
    if connection.busy_since is None:
        return 2 if connection.answered else 0
    slow = now - connection.busy_since > _SLOW_SECONDS
    return 1 if slow and not allowed.slow_answers else None
