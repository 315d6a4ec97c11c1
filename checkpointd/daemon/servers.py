"""Where the daemon answers: the web server with what protects it, and the control socket."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from checkpointd.observe.snapshot import WebSnapshot
from checkpointd.observe.web import activation
from checkpointd.observe.web.access import Access
from checkpointd.observe.web.app import create_app
from checkpointd.observe.web.credentials import CredentialsError
from checkpointd.observe.web.server import ListenError, TcpServer, UnixServer

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence
    from pathlib import Path

    from aiohttp.web import Application

    from checkpointd.config import WebSettings
    from checkpointd.observe.metrics import Metrics
    from checkpointd.observe.sources import Control, StatusSource

log = structlog.get_logger()


class Servers:
    """The servers, and the keys of those on TCP.

    Args:
        web: the section of the config.
        socket_path: of the control socket.
        inherited: the sockets on which systemd listens already. One on TCP takes the place of
            `[web] listen`: under systemd the service may be unable to open such a socket.
    """

    def __init__(
        self, web: WebSettings, socket_path: Path, inherited: Sequence[socket.socket] = ()
    ) -> None:
        self._socket_path = socket_path
        self._inherited_tcp = activation.internet(inherited)
        self._inherited_unix = activation.local(inherited)
        self._wanted = web.listen
        if self._inherited_tcp:
            actual = activation.address(self._inherited_tcp[0])
            web = web.model_copy(update={"listen": actual})
        self.access = Access(web)
        self._tcp: list[TcpServer] = []
        self._unix: list[UnixServer] = []

    @property
    def url(self) -> str:
        """Where the status page is."""
        return self._tcp[0].url if self._tcp else ""

    def problems(self) -> list[str]:
        """Return sentences about what needs attention."""
        problems = self.access.problems()
        places = [activation.address(sock) for sock in self._inherited_tcp]
        if places and activation.numeric(self._wanted) not in places:
            problems.append(
                f"[web] listen is {self._wanted}, but systemd listens on {' and '.join(places)}: "
                "run `checkpointd systemd install` again, or edit checkpointd.socket yourself."
            )
        return problems

    def snapshot(self) -> WebSnapshot:
        """What the gauges show of the web server."""
        return WebSnapshot(
            connections=sum(server.connections for server in self._tcp),
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
        self._tcp = [
            self._tcp_server(create_app(source, metrics, access=self.access), metrics, sock)
            for sock in _or_none(self._inherited_tcp)
        ]
        named = [s for s in self._inherited_unix if activation.is_at(s, str(self._socket_path))]
        others = [sock for sock in self._inherited_unix if sock not in named]
        self._unix = [
            UnixServer(create_app(source, metrics, control), self._socket_path, sock)
            for sock in (*_or_none(named), *others)
        ]
        for server in (*self._tcp, *self._unix):
            await server.start()

    def _tcp_server(
        self, app: Application, metrics: Metrics, inherited: socket.socket | None
    ) -> TcpServer:
        host, port = self.access.web.address
        return TcpServer(
            app, host, port, lambda: self.access.context, metrics.web_refused, inherited
        )

    async def change(self, web: WebSettings) -> None:
        """Apply other settings, but for the address, which needs a restart.

        Raises:
            CredentialsError: their files cannot be used; the previous settings stay in use.
        """
        old, wanted = self.access.web, web.listen
        web = web.model_copy(update={"listen": old.listen})
        if web != old:
            await asyncio.to_thread(self.access.apply, web)
        self._wanted = wanted
        if web == old:
            return
        if web.tls != old.tls:
            # Connections that are open came in without what is required now.
            for server in self._tcp:
                await server.restart()
        self._warn()

    def _warn(self) -> None:
        for problem in self.problems():
            log.warning("the web configuration has a warning", warning=problem)

    async def close(self) -> None:
        """Stop listening."""
        for server in (*self._tcp, *self._unix):
            await server.close()


def _or_none(inherited: Sequence[socket.socket]) -> Sequence[socket.socket | None]:
    """What each server inherits; one has to listen by itself where there is nothing."""
    return inherited or (None,)
