"""Where the application listens: a TCP address, and a unix socket for the command line."""

from __future__ import annotations

import abc
import asyncio
import contextlib
import errno
import os
import socket
import stat
from typing import TYPE_CHECKING

from aiohttp import web

from checkpointd.observe.web.connections import Connections, Limits, limits
from checkpointd.observe.web.listener import Listener
from checkpointd.observe.web.peers import peer_network, peer_uid
from checkpointd.observe.web.protocol import Handler
from checkpointd.observe.web.tls import CurrentContext

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable
    from pathlib import Path

    from checkpointd.observe.web.connections import Peer, Refused

    Context = Callable[[], ssl.SSLContext | None]

SOCKET_MODE = 0o660
"""The group may connect; what it may do there is decided for each request."""

_BACKLOG = 64
_SHUTDOWN_SECONDS = 2.0
_LAST_REQUEST_SECONDS = 1.0
_MAX_SOCKET_PATH = 107


class ListenError(Exception):
    """The address cannot be listened on; the text says what to do."""


class _Server(abc.ABC):
    """A running application: `start`, then `close`."""

    def __init__(
        self, app: web.Application, allowed: Limits, peer: Peer, context: Context, refused: Refused
    ) -> None:
        self._runner = web.AppRunner(app, shutdown_timeout=_SHUTDOWN_SECONDS)
        self._connections = Connections(allowed, peer, refused)
        self._context = context
        self._refused = refused
        self._bound: socket.socket | None = None
        self._listener: Listener | None = None
        self._server: asyncio.Server | None = None

    @property
    def connections(self) -> int:
        """How many connections there are now."""
        return len(self._connections)

    @abc.abstractmethod
    def _bind(self) -> socket.socket: ...

    async def start(self) -> None:
        """Listen.

        Raises:
            ListenError: the address is taken, or may not be used.
        """
        self._bound = self._bind()
        try:
            await self._runner.setup()
            await self._listen()
        except BaseException:
            self._bound.close()
            raise

    async def restart(self) -> None:
        """Use TLS, or no longer use it, as configured now; end every idle connection."""
        if self._server is not None:
            await self._stop_accepting()
            await self._listen()
            self._connections.drop_idle()

    async def close(self) -> None:
        """Stop listening, give running answers a moment, and drop the rest."""
        await self._stop_accepting()
        # What was accepted just now has sent its request or will at once: it gets its answer.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_REQUEST_SECONDS):
                await self._connections.all_requested()
        await self._runner.cleanup()
        self._connections.drop_idle()
        if self._bound is not None:
            self._bound.close()

    async def _stop_accepting(self) -> None:
        """Leave new connections to the next process that listens at the address."""
        if self._server is None or self._listener is None:
            return
        # asyncio makes a transport of what it has accepted a moment later, and drops what it has
        # accepted if its server is closed by then.
        self._listener.is_paused = True
        await asyncio.sleep(0)
        self._server.close()

    async def _listen(self) -> None:
        manager = self._runner.server
        if self._bound is None or manager is None:
            raise RuntimeError("nothing is bound")
        tls = CurrentContext(self._context, self._refused) if self._context() else None
        # asyncio closes what it listens on; the address stays bound for `restart`.
        self._listener = Listener(os.dup(self._bound.fileno()), self._connections)
        self._server = await asyncio.get_running_loop().create_server(
            lambda: Handler(manager, self._connections, self._refused),
            sock=self._listener,
            ssl=tls,
            ssl_shutdown_timeout=None if tls is None else _SHUTDOWN_SECONDS,
            backlog=_BACKLOG,
        )


class TcpServer(_Server):
    """Serves over TCP; port 0 takes any free one.

    Args:
        app: what answers.
        host: the address to listen on.
        port: the port.
        context: returns TLS for the next connection, or None for none; call `restart` after it
            has changed from one to the other.
        refused: is called with the cause of each refusal: `connections`, `time`, `tls`, `request`.
        inherited: a socket that listens there already; by default one is made.
    """

    def __init__(
        self,
        app: web.Application,
        host: str,
        port: int,
        context: Context = lambda: None,
        refused: Refused = lambda _cause: None,
        inherited: socket.socket | None = None,
    ) -> None:
        super().__init__(
            app, limits(), lambda _sock, address: peer_network(address), context, refused
        )
        self._host = host
        self._port = port
        self._inherited = inherited

    @property
    def url(self) -> str:
        """The address, with the port that was really used; known after `start`."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        scheme = "http" if self._context() is None else "https"
        return f"{scheme}://{host}:{self._port}"

    def _bind(self) -> socket.socket:
        if self._inherited is not None:
            return self._inherited
        sock = None
        try:
            family, kind, proto, _, address = socket.getaddrinfo(
                self._host, self._port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )[0]
            sock = socket.socket(family, kind, proto)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(address)
        except OSError as error:
            if sock is not None:
                sock.close()
            cure = "Choose another address in [web] listen."
            if error.errno == errno.EAFNOSUPPORT:
                cure = "Start checkpointd.socket: systemd listens there for the service."
            raise ListenError(
                f"Cannot listen on {self._host}:{self._port}: {error.strerror or error}. {cure}"
            ) from error
        self._port = sock.getsockname()[1]
        return sock


class UnixServer(_Server):
    """Serves on a unix socket of mode 0660; a socket that nobody listens on is replaced.

    Args:
        app: what answers.
        path: where the socket is made.
        inherited: one that listens already; it is neither made nor removed here.
    """

    def __init__(
        self, app: web.Application, path: Path, inherited: socket.socket | None = None
    ) -> None:
        super().__init__(
            app,
            # A verification that somebody waits for may take long.
            limits(slow_answers=True),
            lambda sock, _address: str(peer_uid(sock)),
            lambda: None,
            lambda _cause: None,
        )
        self._path = path
        self._inherited = inherited
        self._inode: int | None = None

    def _bind(self) -> socket.socket:
        if self._inherited is not None:
            return self._inherited
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
        """Stop listening and remove the socket, unless another daemon has created its own there."""
        await super().close()
        if self._inode is not None:
            with contextlib.suppress(OSError):
                if self._path.stat().st_ino == self._inode:
                    await asyncio.to_thread(self._path.unlink)


def _refuse_open_directory(directory: Path) -> None:
    """Where everybody may write, anybody could replace the socket or the ledger."""
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
