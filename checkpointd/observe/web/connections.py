"""How many connections there may be, and which one goes when another comes.

A peer that opens thousands, or holds what it has, drops its own oldest silence; whoever has been
answered before, and whoever is being answered now, goes last. So a scrape always gets through.
"""

from __future__ import annotations

import contextlib
import ipaddress
import resource
import socket
import struct
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterable

MAX_CONNECTIONS = 64
"""In all; fewer where the daemon may open few files."""

_FILES_SHARE = 8
_LEAST = 8
_LONG_SECONDS = 2.0
_RESET = struct.pack("ii", 1, 0)
_V6_NETWORK = 64


@dataclass(eq=False)
class Connection:
    """One connection; moments are the event loop's, in seconds.

    `requests` counts those answered, `proven` says that one of them was answered well;
    `busy_since` is set while one is being answered. There is no `transport` before a TLS
    handshake is over.
    """

    peer: str
    sock: socket.socket
    since: float
    transport: asyncio.Transport | None = None
    requests: int = 0
    proven: bool = False
    busy_since: float | None = None

    def drop(self) -> None:
        """End it at once; an unread answer is forgotten by the kernel too."""
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

    `patient`: an answer may take as long as it likes, and is never cut off for a newcomer.
    """

    total: int
    per_peer: int
    patient: bool = False


def limits(*, patient: bool = False, files: int | None = None) -> Limits:
    """What this process can afford, by how many files it may have open."""
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0] if files is None else files
    if soft == resource.RLIM_INFINITY:
        soft = MAX_CONNECTIONS * _FILES_SHARE
    total = max(_LEAST, min(MAX_CONNECTIONS, soft // _FILES_SHARE))
    return Limits(total, total // 2, patient)


def makes_room(
    there: Iterable[Connection], peer: str, now: float, allowed: Limits
) -> tuple[bool, Connection | None]:
    """Decide about one more connection of a peer.

    Returns:
        Whether it may come in, and which one has to go for it, if any.
    """
    present = list(there)
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


def _rank(one: Connection, now: float, allowed: Limits) -> int | None:
    """How dispensable it is, 0 the most; None if it must stay."""
    if one.busy_since is None:
        return 2 if one.proven else 0
    long = now - one.busy_since > _LONG_SECONDS
    return 1 if long and not allowed.patient else None


def peer_of(address: object) -> str:
    """What one client is counted by: its address, of IPv6 the network that one host has."""
    host = str(address[0]) if isinstance(address, tuple) and address else ""
    try:
        ip = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped is not None:
            return str(ip.ipv4_mapped)
        if not ip.is_loopback:
            return str(ipaddress.ip_network((ip, _V6_NETWORK), strict=False))
    return str(ip)
