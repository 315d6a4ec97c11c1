"""Takes connections in: counts them before the TLS handshake, and bounds every wait.

aiohttp would count a connection only once its handshake is over, and give its first byte and its
next request the same time. Each connection gets the TLS context of the moment it comes, so that
a new certificate is in use from the next connection on, and no old one is dropped for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from typing import TYPE_CHECKING

import structlog
from aiohttp import web

from checkpointd.observe.web.connections import Connection, Limits, makes_room
from checkpointd.observe.web.headers import HEADERS

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from aiohttp.web_request import BaseRequest

    Context = Callable[[], ssl.SSLContext | None]
    Peer = Callable[[socket.socket, object], str]
    Refused = Callable[[str], None]

HEADER_SECONDS = 10.0
"""For the TLS handshake and the headers of the first request."""

IDLE_SECONDS = 120.0
"""Between two requests; Prometheus by default scrapes every minute."""

MAX_HEADER = 4096
"""Bytes of a header, and of the request's line."""

MAX_HEADERS = 64

_LINGER_SECONDS = 1.0
_CLOSE_SECONDS = 2.0
_PAUSE_SECONDS = 0.1

log = structlog.get_logger()


class Handler(web.RequestHandler):
    """aiohttp's protocol, that knows its connection and answers nonsense shortly and unlogged."""

    def __init__(
        self,
        server: web.Server,
        connection: Connection,
        left: Callable[[Connection], None],
        refused: Refused,
    ) -> None:
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            keepalive_timeout=IDLE_SECONDS,
            lingering_time=_LINGER_SECONDS,
            max_line_size=MAX_HEADER,
            max_field_size=MAX_HEADER,
            max_headers=MAX_HEADERS,
            access_log=None,  # type: ignore[arg-type]  # aiohttp itself gives None for no log
        )
        self.connection = connection
        self._left = left
        self._refused = refused

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Know the transport from now on."""
        if isinstance(transport, asyncio.Transport):
            self.connection.transport = transport
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Count it no more."""
        self._left(self.connection)
        super().connection_lost(exc)

    def handle_error(
        self,
        request: BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - it repeats what was sent
    ) -> web.StreamResponse:
        """Answer what is no request of HTTP, and what the application did not answer."""
        if isinstance(exc, ConnectionError):
            raise exc
        if status >= 500:  # noqa: PLR2004 - HTTP's own faults begin here
            log.error("a request failed", exc_info=exc)
        else:
            self._refused("request")
        if request.writer.output_size > 0:
            raise ConnectionError("the answer has begun already")
        text = "The daemon could not answer this.\n" if exc is None else "This is no request.\n"
        response = web.Response(text=text, status=status, headers=HEADERS)
        response.force_close()
        return response


class Site(web.BaseSite):
    """One listening socket of a runner.

    Args:
        runner: of the application; set up.
        sock: bound, not listening yet.
        allowed: how many connections.
        peer: names who is at the other end, from socket and address.
        context: TLS for the next connection, or None.
        refused: is told `connections`, `time`, `tls` or `request` for each one dropped.
    """

    def __init__(
        self,
        runner: web.AppRunner,
        sock: socket.socket,
        allowed: Limits,
        peer: Peer,
        context: Context,
        refused: Refused,
    ) -> None:
        super().__init__(runner)
        self._sock = sock
        self._allowed = allowed
        self._peer = peer
        self._context = context
        self._refused = refused
        self._connections: dict[Connection, asyncio.TimerHandle] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._accepting: asyncio.Task[None] | None = None

    @property
    def name(self) -> str:
        """The address."""
        return str(self._sock.getsockname())

    @property
    def connections(self) -> int:
        """How many there are now."""
        return len(self._connections)

    async def start(self) -> None:
        """Listen."""
        await super().start()
        self._sock.setblocking(False)
        self._sock.listen(self._backlog)
        self._accepting = asyncio.create_task(self._accept())

    async def stop(self) -> None:
        """Accept no more, and end the handshakes that still go on."""
        if self._accepting is not None:
            self._accepting.cancel()
            await asyncio.gather(self._accepting, return_exceptions=True)
        self._sock.close()
        for connection in [c for c in self._connections if c.transport is None]:
            connection.drop()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await super().stop()

    def drop_idle(self) -> None:
        """End every connection on which nothing is being answered."""
        for connection in [c for c in self._connections if c.busy_since is None]:
            self._leave(connection)
            connection.drop()

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        told = False
        while True:
            try:
                sock, address = await loop.sock_accept(self._sock)
            except OSError as error:
                # No file descriptor is left, or the client has gone already.
                if not told:
                    log.warning("connections cannot be accepted", why=error.strerror)
                told = True
                await asyncio.sleep(_PAUSE_SECONDS)
                continue
            told = False
            try:
                self._admit(sock, address)
            except OSError:
                sock.close()
            # A flood of connections is always ready: the others get their turn here.
            await asyncio.sleep(0)

    def _admit(self, sock: socket.socket, address: object) -> None:
        loop = asyncio.get_running_loop()
        connection = Connection(self._peer(sock, address), sock, loop.time())
        admitted, goes = makes_room(
            self._connections, connection.peer, connection.since, self._allowed
        )
        if goes is not None:
            self._leave(goes)
            goes.drop()
        if goes is not None or not admitted:
            self._refused("connections")
        if not admitted:
            connection.drop()
            sock.close()
            return
        self._connections[connection] = loop.call_later(HEADER_SECONDS, self._late, connection)
        task = asyncio.create_task(self._serve(connection))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, connection: Connection) -> None:
        server = self._runner.server
        context = self._context()
        waits = {} if context is None else {"ssl_handshake_timeout": HEADER_SECONDS}
        if context is not None:
            waits["ssl_shutdown_timeout"] = _CLOSE_SECONDS
        try:
            if not isinstance(server, web.Server):
                raise ConnectionError("closing")
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: Handler(server, connection, self._leave, self._refused),
                connection.sock,
                ssl=context,
                **waits,
            )
        except OSError as error:
            if connection in self._connections and isinstance(error, ssl.SSLError):
                self._refused("tls")
            elif connection in self._connections and isinstance(error, ConnectionAbortedError):
                self._refused("time")
            self._leave(connection)
            with contextlib.suppress(OSError):
                connection.sock.close()

    def _late(self, connection: Connection) -> None:
        """Drop what has asked for nothing, or not to the end, in its time."""
        if connection.requests or connection.busy_since is not None:
            return
        self._leave(connection)
        connection.drop()
        self._refused("time")

    def _leave(self, connection: Connection) -> None:
        timer = self._connections.pop(connection, None)
        if timer is not None:
            timer.cancel()
