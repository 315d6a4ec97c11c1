"""The real server, over TCP and over its unix socket, asked by a real client."""

from __future__ import annotations

import asyncio
import json
import select
import socket
from typing import TYPE_CHECKING

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from checkpointd.observe.metrics import Metrics
from checkpointd.observe.snapshot import Snapshot
from checkpointd.observe.web import app as web_app
from checkpointd.observe.web import connections
from checkpointd.observe.web.app import create_app
from checkpointd.observe.web.server import ListenError, TcpServer
from tests.helpers.observe import NOW, ODD, Source, bad_series, verdict
from tests.helpers.pages import DETAIL
from tests.helpers.web import received, running_web

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from checkpointd.observe.status import DaemonStatus


def over_tcp(
    use: Callable[[aiohttp.ClientSession, TcpServer], Awaitable[None]],
    source: Source | None = None,
    metrics: Metrics | None = None,
) -> None:
    """Serve on a free port, and use it."""

    async def run() -> None:
        app = create_app(source or Source(), metrics or Metrics(Snapshot))
        server = TcpServer(app, "127.0.0.1", 0)
        await server.start()
        try:
            async with aiohttp.ClientSession(server.url) as client:
                await use(client, server)
        finally:
            await server.close()

    asyncio.run(run())


def test_every_page_answers_with_headers_that_protect_it() -> None:
    """Pages, metrics, health and API: 200, and neither framed, cached nor sniffed."""
    source, one = Source(), bad_series()
    source.known, source.rows = [one], [{**DETAIL, "id": 1}]

    async def use(client: aiohttp.ClientSession, _server: TcpServer) -> None:
        for path, kind in (
            ("/", "text/html"),
            ("/series", "text/html"),
            (f"/series/{one.id}", "text/html"),
            ("/checkpoints/1", "text/html"),
            ("/metrics", "text/plain"),
            ("/healthz", "text/plain"),
            ("/readyz", "text/plain"),
            ("/api/v1/status", "application/json"),
            ("/api/v1/series", "application/json"),
            ("/api/v1/series?watch=resnet", "application/json"),
            (f"/api/v1/series/{one.id}", "application/json"),
            ("/api/v1/checkpoints", "application/json"),
            ("/api/v1/checkpoints/1", "application/json"),
        ):
            async with client.get(path) as answer:
                await answer.read()
                assert (answer.status, answer.content_type) == (200, kind)
                assert answer.headers["X-Content-Type-Options"] == "nosniff"
                assert answer.headers["Referrer-Policy"] == "no-referrer"
                assert answer.headers["Cache-Control"] == "no-store"
                policy = answer.headers["Content-Security-Policy"]
                assert policy.startswith("default-src 'none'")
                assert "unsafe" not in policy
            async with client.head(path) as answer:
                assert answer.status == 200

    over_tcp(use, source)


def test_a_series_or_checkpoint_that_is_not_known_has_no_page() -> None:
    """Whatever stands in the address."""

    async def use(client: aiohttp.ClientSession, _server: TcpServer) -> None:
        for path in ("/series/x", "/checkpoints/2", "/checkpoints/x", "/checkpoints/" + "9" * 40):
            async with client.get(path) as answer:
                assert (answer.status, answer.content_type) == (404, "text/plain")
        for path in ("/api/v1/series/x", "/api/v1/series?color=red"):
            async with client.get(path) as answer:
                assert answer.status in (400, 404)
                assert (await answer.json())["error"].endswith(".")

    over_tcp(use)


def test_metrics_can_be_scraped_as_text_and_as_openmetrics() -> None:
    """What Prometheus asks for is what it gets."""

    async def use(client: aiohttp.ClientSession, _server: TcpServer) -> None:
        async with client.get("/metrics") as answer:
            names = {f.name for f in text_string_to_metric_families(await answer.text())}
            assert "checkpointd_queue_length" in names
        asked = {"Accept": "application/openmetrics-text;version=1.0.0,text/plain;q=0.5"}
        async with client.get("/metrics", headers=asked) as answer:
            assert answer.content_type == "application/openmetrics-text"
            assert (await answer.text()).endswith("# EOF\n")

    over_tcp(use)


def test_bad_health_is_503_with_the_problems_in_plain_words() -> None:
    """A probe sees the status, a person the sentence."""
    source = Source(healthy=False, ready=False, problems=["The supervisor stands still: \udcff."])

    async def use(client: aiohttp.ClientSession, _server: TcpServer) -> None:
        for path, first in (("/healthz", "not healthy"), ("/readyz", "not ready")):
            async with client.get(path) as answer:
                assert answer.status == 503
                assert (await answer.text()).splitlines() == [
                    first,
                    r"The supervisor stands still: \xff.",
                ]

    over_tcp(use, source)


def test_odd_names_and_nan_survive_the_api() -> None:
    """A path comes back byte for byte; NaN is null, as JSON has no value for it."""
    source = Source(last_verdicts=[verdict(ODD, at=NOW)])

    async def use(client: aiohttp.ClientSession, _server: TcpServer) -> None:
        async with client.get("/api/v1/checkpoints/1") as answer:
            found = json.loads(await answer.text(), parse_constant=pytest.fail)
            assert (found["path"], found["weight_norm"]) == (ODD, None)
        async with client.get("/") as answer:
            assert r"a\xff\n&lt;script&gt;" in await answer.text()

    over_tcp(use, source)


def test_checkpoints_are_asked_for_by_watch_series_state_and_limit() -> None:
    """What is asked reaches the ledger; what is invalid is refused in a sentence."""
    source = Source()

    async def use(client: aiohttp.ClientSession, _server: TcpServer) -> None:
        async with client.get("/api/v1/checkpoints?watch=w&state=valid&limit=7") as answer:
            assert answer.status == 200
        for wrong in ("limit=0", "limit=1001", "limit=x", "limit=" + "9" * 5000, "color=red"):
            async with client.get(f"/api/v1/checkpoints?{wrong}") as answer:
                assert answer.status == 400
                if "9999" not in wrong:
                    assert (await answer.json())["error"].endswith(".")
        for identity in ("2", "-1", "x", "9" * 40):
            async with client.get(f"/api/v1/checkpoints/{identity}") as answer:
                assert answer.status == 404

    over_tcp(use, source)
    assert source.asked == [{"watch": "w", "series": None, "state": "valid", "limit": 7}]


def test_a_state_that_there_is_not_is_refused_with_the_list_of_states() -> None:
    """Never answered with every row, as if none had been asked for."""
    source = Source()

    async def use(client: aiohttp.ClientSession, _server: TcpServer) -> None:
        for wrong in ("bogus", "", "VALID", "valid,invalid"):
            async with client.get("/api/v1/checkpoints", params={"state": wrong}) as answer:
                assert answer.status == 400
                message = (await answer.json())["error"]
                assert message.startswith("state must be one of valid, invalid, inconclusive, ")

    over_tcp(use, source)
    assert source.asked == []


def test_nothing_can_be_changed_over_tcp() -> None:
    """Unknown paths are answered shortly; nothing but reading exists there."""

    async def use(client: aiohttp.ClientSession, _server: TcpServer) -> None:
        async with client.get("/control/prune") as answer:
            assert answer.status == 404
        async with client.get("/etc/passwd") as answer:
            assert answer.status == 404
            assert len(await answer.text()) < 100
        for path in ("/control/prune", "/api/v1/checkpoints/1"):
            for method in ("POST", "PUT", "DELETE", "OPTIONS", "TRACE"):
                async with client.request(method, path, json={"apply": True}) as answer:
                    assert answer.status == 405
                    assert answer.headers["Allow"] == "GET,HEAD"

    over_tcp(use)


def test_a_fault_of_ours_is_500_and_the_server_goes_on() -> None:
    """One broken answer neither leaks a traceback nor stops the next."""
    source = Source()
    broken = [True]

    healthy = source.status()

    def state() -> DaemonStatus:
        if broken:
            raise RuntimeError("secret detail")
        return healthy

    source.status = state  # type: ignore[method-assign] # a fault put in

    async def use(client: aiohttp.ClientSession, _server: TcpServer) -> None:
        async with client.get("/") as answer:
            assert answer.status == 500
            assert "secret" not in await answer.text()
        broken.clear()
        async with client.get("/") as answer:
            assert answer.status == 200

    over_tcp(use, source)


def test_silent_clients_do_not_stop_a_scrape_and_are_dropped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Fifty silent connections cost nobody anything, and end."""
    monkeypatch.setattr(connections, "HEADER_SECONDS", 0.2)

    async def use(client: aiohttp.ClientSession, server: TcpServer) -> None:
        port = int(server.url.rpartition(":")[2])
        silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(50)]
        for index, (_, writer) in enumerate(silent):
            if index % 2:
                writer.write(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nX-Slow")
        async with client.get("/metrics") as answer:
            assert answer.status == 200
        async with asyncio.timeout(60):
            for reader, writer in silent:
                assert await reader.read() == b""
                writer.close()

    over_tcp(use)


def test_a_client_that_does_not_read_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer nobody reads must not be kept in memory for ever."""
    monkeypatch.setattr(web_app, "SEND_SECONDS", 0.2)
    source = Source()
    source.rows = [{"id": n, "path": "x" * 10_000} for n in range(2000)]

    async def use(_client: aiohttp.ClientSession, server: TcpServer) -> None:
        loop = asyncio.get_running_loop()
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.setblocking(False)
            await loop.sock_connect(sock, ("127.0.0.1", int(server.url.rpartition(":")[2])))
            await loop.sock_sendall(
                sock, b"GET /api/v1/checkpoints HTTP/1.1\r\nHost: localhost\r\n\r\n"
            )
            dropped = loop.create_future()
            poll = select.epoll()
            poll.register(sock, 0)
            loop.add_reader(poll.fileno(), lambda: dropped.done() or dropped.set_result(None))
            async with asyncio.timeout(60):
                await dropped
            loop.remove_reader(poll.fileno())
            poll.close()

    over_tcp(use, source)


def test_an_address_in_use_is_reported_in_a_sentence() -> None:
    """The second daemon on a port names the setting to change."""

    async def use(_client: aiohttp.ClientSession, server: TcpServer) -> None:
        port = int(server.url.rpartition(":")[2])
        second = TcpServer(create_app(Source(), Metrics(Snapshot)), "127.0.0.1", port)
        with pytest.raises(ListenError, match=r"\[web\] listen"):
            await second.start()

    over_tcp(use)


@pytest.mark.parametrize("turns", range(6))
def test_a_request_at_the_moment_of_a_stop_is_answered_or_left_to_the_next(turns: int) -> None:
    """However far asyncio has come with its connection; the address is still listened on."""

    async def use() -> None:
        async with running_web() as running:
            bound = running.server._bound
            assert bound is not None
            with bound.dup() as address, socket.create_connection(bound.getsockname()) as client:
                address.setblocking(False)  # which goes for all that listen there
                client.setblocking(False)
                client.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
                for _ in range(turns):
                    await asyncio.sleep(0)
                await running.server.close()
                try:
                    left, _ = address.accept()
                except BlockingIOError:
                    assert (await received(client)).startswith(b"HTTP/1.0 200")
                else:
                    left.close()

    asyncio.run(use())
