"""Where the daemon answers: the web server with what protects it, and the control socket."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from checkpointd.observe.snapshot import WebSnapshot
from checkpointd.observe.web.access import Access
from checkpointd.observe.web.app import create_app
from checkpointd.observe.web.credentials import CredentialsError
from checkpointd.observe.web.server import ListenError, TcpServer, UnixServer

if TYPE_CHECKING:
    from pathlib import Path

    from checkpointd.config import WebSettings
    from checkpointd.observe.metrics import Metrics
    from checkpointd.observe.sources import Control, StatusSource

log = structlog.get_logger()


class Servers:
    """Both servers, and the keys of the first.

    Args:
        web: the section of the config.
        socket_path: of the control socket.
    """

    def __init__(self, web: WebSettings, socket_path: Path) -> None:
        self.access = Access(web)
        self._socket_path = socket_path
        self._tcp: TcpServer | None = None
        self._unix: UnixServer | None = None

    @property
    def url(self) -> str:
        """Where the status page is."""
        return self._tcp.url if self._tcp is not None else ""

    def snapshot(self) -> WebSnapshot:
        """What the gauges show of the web server."""
        return WebSnapshot(
            connections=self._tcp.connections if self._tcp is not None else 0,
            certificate_not_after=self.access.not_after,
            files_good=self.access.files_good,
        )

    async def start(self, source: StatusSource, metrics: Metrics, control: Control) -> None:
        """Read the keys and listen.

        Args:
            source: gives the status.
            metrics: gives the exposition, and counts who is refused.
            control: carries out what comes over the control socket.

        Raises:
            ListenError: a key or an address cannot be used; the sentence explains what to do.
        """
        try:
            await asyncio.to_thread(self.access.apply, self.access.web)
        except CredentialsError as error:
            raise ListenError(str(error)) from None
        self._warn()
        host, port = self.access.web.address
        self._tcp = TcpServer(
            create_app(source, metrics, access=self.access),
            host,
            port,
            lambda: self.access.context,
            refused=metrics.web_refused,
        )
        self._unix = UnixServer(create_app(source, metrics, control), self._socket_path)
        await self._tcp.start()
        await self._unix.start()

    async def change(self, web: WebSettings) -> None:
        """Apply other settings, but for the address, which needs a restart.

        Raises:
            CredentialsError: their files cannot be used; the previous settings stay in use.
        """
        old = self.access.web
        web = web.model_copy(update={"listen": old.listen})
        if web == old:
            return
        await asyncio.to_thread(self.access.apply, web)
        if web.tls != old.tls and self._tcp is not None:
            # Connections that are open came in without what is required now.
            await self._tcp.restart()
        self._warn()

    def _warn(self) -> None:
        for problem in self.access.problems():
            log.warning("the web configuration has a warning", warning=problem)

    async def close(self) -> None:
        """Stop listening."""
        for server in (self._tcp, self._unix):
            if server is not None:
                await server.close()
