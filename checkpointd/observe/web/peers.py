"""Who is at the other end of a socket: standard library alone, so that the command line can ask."""

from __future__ import annotations

import ipaddress
import socket
import struct

_UCRED = struct.Struct("iII")
_V6_NETWORK = 64


def peer_uid(sock: socket.socket) -> int:
    """Return the user at the other end of a connected unix socket, as the kernel recorded it."""
    credentials = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
    uid: int = _UCRED.unpack(credentials)[1]
    return uid


def peer_network(address: object) -> str:
    """Return what a TCP client is counted by: its address, or the IPv6 network of its host."""
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
