"""Where the application listens: a TCP address, and a unix socket for the command line."""

from __future__ import annotations

import abc
import asyncio
import contextlib
import errno
import os
import socket
import stat
import struct
from typing import TYPE_CHECKING

from aiohttp import web

from checkpointd.observe.web.accepting import Site
from checkpointd.observe.web.connections import Limits, limits, peer_of

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable
    from pathlib import Path

    Context = Callable[[], ssl.SSLContext | None]
    Refused = Callable[[str], None]

SOCKET_MODE = 0o660
"""The group may connect; what it may do there is decided for each request."""

_SHUTDOWN_SECONDS = 2.0
_MAX_SOCKET_PATH = 107
_UCRED = struct.Struct("iII")


class ListenError(Exception):
    """The address cannot be listened on; the text says what to do."""


class _Server(abc.ABC):
    """A running application: `start`, then `url`, then `close`."""

    def __init__(self, app: web.Application, context: Context, refused: Refused) -> None:
        self._runner = web.AppRunner(
            app, access_log=None, handle_signals=False, shutdown_timeout=_SHUTDOWN_SECONDS
        )
        self._context = context
        self._refused = refused
        self._site: Site | None = None

    @property
    @abc.abstractmethod
    def url(self) -> str:
        """Where it can be reached."""

    @property
    def connections(self) -> int:
        """How many connections there are now."""
        return self._site.connections if self._site is not None else 0

    @abc.abstractmethod
    def _bind(self) -> socket.socket: ...

    @abc.abstractmethod
    def _limits(self) -> Limits: ...

    @abc.abstractmethod
    def _peer(self, sock: socket.socket, address: object) -> str: ...

    async def start(self) -> None:
        """Listen.

        Raises:
            ListenError: the address is taken, or may not be used.
        """
        sock = self._bind()
        try:
            await self._runner.setup()
            self._site = Site(
                self._runner, sock, self._limits(), self._peer, self._context, self._refused
            )
            await self._site.start()
        except BaseException:
            sock.close()
            raise

    def drop_idle(self) -> None:
        """End every connection on which nothing is being answered."""
        if self._site is not None:
            self._site.drop_idle()

    async def close(self) -> None:
        """Stop listening, give running answers a moment, and drop the rest."""
        await self._runner.cleanup()


class TcpServer(_Server):
    """Serves over TCP; port 0 takes any free one.

    Args:
        app: what answers.
        host: the address to listen on.
        port: the port.
        context: gives TLS for the next connection, or None for none.
        refused: is told why a connection was dropped: `connections`, `time` or `tls`.
    """

    def __init__(
        self,
        app: web.Application,
        host: str,
        port: int,
        context: Context = lambda: None,
        refused: Refused = lambda _why: None,
    ) -> None:
        super().__init__(app, context, refused)
        self._host = host
        self._port = port

    @property
    def url(self) -> str:
        """The address, with the port that was really taken."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        scheme = "http" if self._context() is None else "https"
        return f"{scheme}://{host}:{self._port}"

    def _limits(self) -> Limits:
        return limits()

    def _peer(self, _sock: socket.socket, address: object) -> str:
        return peer_of(address)

    def _bind(self) -> socket.socket:
        where = f"{self._host}:{self._port}"
        try:
            family, kind, proto, _, address = socket.getaddrinfo(
                self._host, self._port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )[0]
            sock = socket.socket(family, kind, proto)
        except OSError as error:
            raise ListenError(_sentence(where, error)) from error
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(address)
        except OSError as error:
            sock.close()
            raise ListenError(_sentence(where, error)) from error
        self._port = sock.getsockname()[1]
        return sock


class UnixServer(_Server):
    """Serves on a unix socket of mode 0660; a socket that nobody listens on is replaced."""

    def __init__(self, app: web.Application, path: Path) -> None:
        super().__init__(app, lambda: None, lambda _why: None)
        self._path = path
        self._inode: int | None = None

    @property
    def url(self) -> str:
        """The socket's path, as `unix:PATH`."""
        return f"unix:{self._path}"

    def _limits(self) -> Limits:
        # A verification that somebody waits for may take long.
        return limits(patient=True)

    def _peer(self, sock: socket.socket, _address: object) -> str:
        return str(peer_uid(sock))

    def _bind(self) -> socket.socket:
        if len(os.fsencode(self._path)) > _MAX_SOCKET_PATH:
            raise ListenError(
                f"The path of the control socket is longer than {_MAX_SOCKET_PATH} bytes: "
                f"choose a shorter state_dir than {self._path.parent}."
            )
        _refuse_open_directory(self._path.parent)
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            _remove_stale(self._path)
            sock.bind(os.fspath(self._path))
            # Nobody can connect before listen(), so the mode is never wider than this.
            self._path.chmod(SOCKET_MODE)
            self._inode = self._path.stat().st_ino
        except OSError as error:
            sock.close()
            raise ListenError(f"Cannot listen on {self._path}: {error.strerror}.") from error
        except ListenError:
            sock.close()
            raise
        return sock

    async def close(self) -> None:
        """Stop listening and remove the socket, unless another daemon has put its own there."""
        await super().close()
        if self._inode is not None:
            with contextlib.suppress(OSError):
                if self._path.stat().st_ino == self._inode:
                    await asyncio.to_thread(self._path.unlink)


def peer_uid(sock: socket.socket) -> int | None:
    """The user at the other end of a unix socket, by the kernel's word; None over TCP."""
    if sock.family != socket.AF_UNIX:
        return None
    credentials = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
    uid: int = _UCRED.unpack(credentials)[1]
    return uid


def _refuse_open_directory(directory: Path) -> None:
    """Where everybody may write, anybody could put a socket, or a ledger, in the place of ours."""
    try:
        mode = directory.stat().st_mode
    except OSError as error:
        raise ListenError(f"Cannot listen in {directory}: {error.strerror}.") from error
    if mode & stat.S_IWOTH:
        raise ListenError(
            f"Every user may write into the state directory {directory}: chmod o-w it."
        )


def _remove_stale(path: Path) -> None:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise ListenError(f"{path} is in the way of the control socket: move it elsewhere.")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        if probe.connect_ex(os.fspath(path)) in (0, errno.EAGAIN):
            raise ListenError(f"Another checkpointd listens on {path}: stop it first.")
    path.unlink()


def _sentence(where: str, error: OSError) -> str:
    return (
        f"Cannot listen on {where}: {error.strerror or error}. "
        "Choose another address in [web] listen."
    )
