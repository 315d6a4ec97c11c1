"""Sockets on which systemd listens for the daemon: see sd_listen_fds(3).

systemd keeps them open while the service restarts, so that a scrape or a command that comes then
waits for its answer instead of being refused. Standard library alone.
"""

from __future__ import annotations

import ipaddress
import os
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, MutableMapping

_FIRST = 3
_INTERNET = (socket.AF_INET, socket.AF_INET6)


def inherited_sockets(environ: MutableMapping[str, str] | None = None) -> list[socket.socket]:
    """Return the listening sockets that this process was given, and keep them from its children.

    Removes systemd's variables from the environment.

    Args:
        environ: where to read and remove them; the environment of this process by default.
    """
    env = os.environ if environ is None else environ
    pid, count = env.pop("LISTEN_PID", ""), env.pop("LISTEN_FDS", "")
    env.pop("LISTEN_FDNAMES", None)
    if pid != str(os.getpid()) or not count.isdecimal():
        return []
    sockets = []
    for number in range(_FIRST, _FIRST + int(count)):
        os.set_inheritable(number, False)
        sock = socket.socket(fileno=number)
        if sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            sockets.append(sock)
        else:
            sock.close()
    return sockets


def internet(sockets: Iterable[socket.socket]) -> list[socket.socket]:
    """Those that listen on TCP; what others can reach comes before loopback."""
    tcp = [sock for sock in sockets if sock.family in _INTERNET]
    return sorted(tcp, key=lambda sock: ipaddress.ip_address(_host(sock)).is_loopback)


def local(sockets: Iterable[socket.socket]) -> list[socket.socket]:
    """Those that have a name in the file system."""
    return [sock for sock in sockets if sock.family == socket.AF_UNIX]


def address(sock: socket.socket) -> str:
    """Return where a TCP socket listens, as `[web] listen` has it."""
    host, port = _host(sock), sock.getsockname()[1]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def numeric(listen: str) -> str:
    """Return an address of `[web] listen` without a name in it, as systemd needs it."""
    host, _, port = listen.rpartition(":")
    if host == "localhost":
        host = "127.0.0.1"
    return f"[{host}]:{port}" if ":" in host and not host.startswith("[") else f"{host}:{port}"


def is_at(sock: socket.socket, path: str) -> bool:
    """Whether a local socket has this path, whichever link leads to it."""
    name = sock.getsockname()
    return isinstance(name, str) and os.path.realpath(name) == os.path.realpath(path)


def _host(sock: socket.socket) -> str:
    return str(sock.getsockname()[0]).partition("%")[0]
