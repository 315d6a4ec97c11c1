"""aiohttp's protocol with this daemon's limits, and short answers to malformed requests."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog
from aiohttp import web

from checkpointd.observe.web.headers import HEADERS

if TYPE_CHECKING:
    from aiohttp.web_request import BaseRequest

    from checkpointd.observe.web.connections import Connection, Connections, Refused

IDLE_SECONDS = 120.0
"""Between two requests; Prometheus by default scrapes every minute."""

MAX_HEADER = 4096
"""Bytes of a header, and of the request's line."""

MAX_HEADERS = 64

_LINGER_SECONDS = 1.0

log = structlog.get_logger()


class Handler(web.RequestHandler):
    """aiohttp's protocol; answers a malformed request shortly and does not log it."""

    def __init__(self, server: web.Server, connections: Connections, refused: Refused) -> None:
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            keepalive_timeout=IDLE_SECONDS,
            lingering_time=_LINGER_SECONDS,
            max_line_size=MAX_HEADER,
            max_field_size=MAX_HEADER,
            max_headers=MAX_HEADERS,
            access_log=None,  # type: ignore[arg-type]  # aiohttp itself passes None for no log
        )
        self.connection: Connection | None = None
        self._connections = connections
        self._refused = refused

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take over a connection whose TLS handshake, if any, is over."""
        super().connection_made(transport)
        if not isinstance(transport, asyncio.Transport):
            raise TypeError(f"a connection without a stream: {transport!r}")
        self.connection = self._connections.find(transport.get_extra_info("socket").fileno())
        if self.connection is None:
            transport.abort()
        else:
            self.connection.transport = transport

    def handle_error(
        self,
        request: BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - it repeats what was sent
    ) -> web.StreamResponse:
        """Answer a malformed request, and one that the application did not answer."""
        if isinstance(exc, ConnectionError):
            raise exc
        if status >= 500:  # noqa: PLR2004 - HTTP's own faults begin here
            log.error("a request failed", exc_info=exc)
        else:
            self._refused("request")
        if request.writer.output_size > 0:
            raise ConnectionError("part of the answer has been sent")
        text = (
            "The daemon could not answer this.\n"
            if exc is None
            else "This is not a valid HTTP request.\n"
        )
        response = web.Response(text=text, status=status, headers=HEADERS)
        response.force_close()
        return response
