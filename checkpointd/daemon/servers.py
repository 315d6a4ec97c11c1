"""Where the daemon answers: the TCP side with what protects it, and the control socket."""

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


class Listening:
    """Both servers, and the keys of the first.

    Args:
        source: gives the state.
        metrics: gives the exposition, and counts who is refused.
        control: carries out what comes over the control socket.
        web: the section of the config.
        socket_path: of the control socket.
    """

    def __init__(
        self,
        source: StatusSource,
        metrics: Metrics,
        control: Control,
        web: WebSettings,
        socket_path: Path,
    ) -> None:
        self.access = Access(web)
        host, port = web.address
        app = create_app(source, metrics, access=self.access)
        self._tcp = TcpServer(
            app, host, port, lambda: self.access.context, refused=metrics.web_refused
        )
        self._unix = UnixServer(create_app(source, metrics, control), socket_path)

    @property
    def url(self) -> str:
        """Where the status page is."""
        return self._tcp.url

    def snapshot(self) -> WebSnapshot:
        """What the gauges show of the TCP side."""
        return WebSnapshot(
            connections=self._tcp.connections,
            certificate_not_after=self.access.not_after,
            files_good=self.access.files_good,
        )

    async def start(self) -> None:
        """Read the keys and listen.

        Raises:
            ListenError: a key or an address cannot be used; the sentence says what to do.
        """
        try:
            await asyncio.to_thread(self.access.apply, self.access.web)
        except CredentialsError as error:
            raise ListenError(str(error)) from None
        self._warn()
        await self._tcp.start()
        await self._unix.start()

    async def change(self, web: WebSettings) -> None:
        """Go by other settings, save the address, which needs a restart.

        Raises:
            CredentialsError: their files cannot be used; the previous settings stay in use.
        """
        old = self.access.web
        web = web.model_copy(update={"listen": old.listen})
        if web == old:
            return
        await asyncio.to_thread(self.access.apply, web)
        if web.tls != old.tls:
            # Connections that are open came in without what is required now.
            await self._tcp.restart()
        self._warn()

    def _warn(self) -> None:
        for problem in self.access.problems():
            log.warning("the web configuration has a warning", warning=problem)

    async def close(self) -> None:
        """Stop listening."""
        await self._tcp.close()
        await self._unix.close()
