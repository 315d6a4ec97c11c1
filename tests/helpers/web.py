"""The real TCP running on a free port, in the loop of the test, and raw sockets to it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING

import aiohttp

from checkpointd.observe.metrics import Metrics
from checkpointd.observe.snapshot import Snapshot
from checkpointd.observe.web.access import Access
from checkpointd.observe.web.app import create_app
from checkpointd.observe.web.server import TcpServer
from tests.helpers.observe import Source

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator

    from checkpointd.config.web import WebSettings

SCRAPE_SECONDS = 10.0
"""Prometheus' own time-out of a scrape."""


@dataclass
class RunningWeb:
    """A running server, its metrics, and how to connect to it."""

    server: TcpServer
    metrics: Metrics
    source: Source
    access: Access

    @property
    def port(self) -> int:
        """The port that it really took."""
        return int(self.server.url.rpartition(":")[2])

    def refused(self, cause: str) -> float:
        """How often it refused for a cause."""
        return (
            self.metrics.registry.get_sample_value(
                "checkpointd_web_refused_total", {"cause": cause}
            )
            or 0.0
        )

    async def scrape(self, tls: ssl.SSLContext | None = None) -> None:
        """Scrape as Prometheus does, on a connection of its own; fail where it would."""
        connector = aiohttp.TCPConnector(ssl=tls if tls is not None else True)
        timeout = aiohttp.ClientTimeout(SCRAPE_SECONDS)
        async with (
            aiohttp.ClientSession(connector=connector, timeout=timeout) as client,
            client.get(f"{self.server.url}/metrics") as answer,
        ):
            assert answer.status == 200
            assert b"checkpointd_queue_length" in await answer.read()

    async def connect(self, data: bytes = b"", *, buffer: int | None = None) -> socket.socket:
        """Open a connection, send something, and read nothing."""
        sock = socket.socket()
        sock.setblocking(False)
        if buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(sock, ("127.0.0.1", self.port))
        if data:
            with contextlib.suppress(ConnectionError):
                await loop.sock_sendall(sock, data)
        return sock

    async def exchange(self, data: bytes) -> bytes:
        """Send something, and return everything that comes until the other end closes."""
        sock = await self.connect(data)
        try:
            return await received(sock)
        finally:
            sock.close()


async def received(sock: socket.socket) -> bytes:
    """Return everything that comes until the other end closes or resets."""
    parts = []
    with contextlib.suppress(ConnectionError):
        async with asyncio.timeout(15):
            while part := await asyncio.get_running_loop().sock_recv(sock, 65536):
                parts.append(part)
    return b"".join(parts)


@contextlib.asynccontextmanager
async def running_web(web: WebSettings | None = None) -> AsyncIterator[RunningWeb]:
    """Serve, with what the settings of `[web]` ask for."""
    source, metrics, access = Source(), Metrics(Snapshot), Access()
    if web is not None:
        access.apply(web)
    server = TcpServer(
        create_app(source, metrics, access=access),
        "127.0.0.1",
        0,
        lambda: access.context,
        metrics.web_refused,
    )
    await server.start()
    try:
        yield RunningWeb(server, metrics, source, access)
    finally:
        await server.close()
