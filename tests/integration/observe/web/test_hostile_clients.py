"""Clients that are slow, silent, many or malformed: a scrape always gets through."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import resource
from typing import TYPE_CHECKING

import pytest
import structlog

from checkpointd.observe.web import app as web_app
from checkpointd.observe.web import connections, protocol
from checkpointd.observe.web.connections import limits
from tests.helpers.web import RunningWeb, received, running_web

if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Callable, Iterator

GET = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n"
HUGE = [{"id": n, "path": "x" * 10_000} for n in range(500)]


def served(use: Callable[[RunningWeb], Awaitable[None]]) -> None:
    """Serve on a free port, and use it; whatever comes, nothing is logged."""
    with structlog.testing.capture_logs() as logged:
        asyncio.run(_serve(use))
    assert logged == []


async def _serve(use: Callable[[RunningWeb], Awaitable[None]]) -> None:
    async with running_web() as running:
        await use(running)


@contextlib.contextmanager
def closing() -> Iterator[list[socket.socket]]:
    """Sockets that are closed afterwards."""
    opened: list[socket.socket] = []
    try:
        yield opened
    finally:
        for sock in opened:
            sock.close()


def test_a_thousand_silent_connections_do_not_stop_a_scrape() -> None:
    """Those that came first go; the daemon has no more files open than its limit."""

    async def use(running: RunningWeb) -> None:
        before = len(os.listdir("/proc/self/fd"))
        with closing() as opened:
            for number in range(1000):
                opened.append(await running.connect())
                if number % 250 == 249:
                    await running.scrape()
            assert running.server.connections <= limits().per_peer
            assert running.refused("connections") >= 1000 - limits().per_peer
            held = len(os.listdir("/proc/self/fd")) - before - len(opened)
            assert held <= limits().per_peer + 8

    served(use)


def test_without_free_file_descriptors_the_server_waits_and_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It logs once a second, and accepts again as soon as there are some."""

    async def use(running: RunningWeb) -> None:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        with closing() as opened:
            lowest = os.dup(0)
            os.close(lowest)
            resource.setrlimit(resource.RLIMIT_NOFILE, (lowest + 1, hard))
            try:
                opened.append(await running.connect(GET + b"Connection: close\r\n\r\n"))
                await asyncio.sleep(0.3)
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            assert b"HTTP/1.1 200 " in await received(opened[-1])
            await running.scrape()
        (error,) = [r.getMessage() for r in caplog.records if r.levelno >= logging.ERROR]
        assert error.startswith("socket.accept() out of system resource")

    asyncio.run(_serve(use))


def test_a_kept_connection_is_not_dropped_for_silent_ones() -> None:
    """Prometheus keeps its connection from scrape to scrape."""

    async def use(running: RunningWeb) -> None:
        with closing() as opened:
            kept = await running.connect(GET + b"\r\n")
            opened.append(kept)
            loop = asyncio.get_running_loop()
            assert (await loop.sock_recv(kept, 65536)).startswith(b"HTTP/1.1 200 ")
            for _ in range(100):
                opened.append(await running.connect(b"GET"))
            await loop.sock_sendall(kept, GET + b"Connection: close\r\n\r\n")
            assert b"HTTP/1.1 200 " in await received(kept)

    served(use)


def test_headers_that_come_a_byte_at_a_time_have_a_deadline(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each byte gives no new time."""
    monkeypatch.setattr(connections, "HEADER_SECONDS", 0.4)

    async def drip(running: RunningWeb) -> float:
        began = asyncio.get_running_loop().time()
        sock = await running.connect()
        try:
            for byte in GET * 1000:
                await asyncio.get_running_loop().sock_sendall(sock, bytes([byte]))
                await asyncio.sleep(0.05)
        except ConnectionError:
            return asyncio.get_running_loop().time() - began
        finally:
            sock.close()
        raise AssertionError("nobody closed it")

    async def use(running: RunningWeb) -> None:
        drops = asyncio.gather(*(drip(running) for _ in range(20)))
        await running.scrape()
        assert max(await drops) < 10
        assert running.refused("time") == 20

    served(use)


def test_answers_that_nobody_reads_do_not_stop_a_scrape(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many as there may be, each of five megabytes; they end, and others go on meanwhile."""
    monkeypatch.setattr(web_app, "SEND_SECONDS", 1.0)

    async def use(running: RunningWeb) -> None:
        running.source.rows = HUGE
        asked = b"GET /api/v1/checkpoints HTTP/1.1\r\nHost: localhost\r\n\r\n"
        with closing() as opened:
            for _ in range(limits().per_peer - 2):
                opened.append(await running.connect(asked, buffer=4096))
            await running.scrape()
            deadline = asyncio.get_running_loop().time() + 20
            for _ in iter(lambda: running.server.connections, 0):
                assert asyncio.get_running_loop().time() < deadline
                await asyncio.sleep(0.05)

    served(use)


def test_a_flood_of_pipelined_requests_does_not_stop_a_scrape() -> None:
    """Neither when the answers are read nor when they are not."""

    async def use(running: RunningWeb) -> None:
        with closing() as opened:
            loop = asyncio.get_running_loop()
            floods = []
            for _ in range(4):
                opened.append(sock := await running.connect())
                floods.append(asyncio.create_task(loop.sock_sendall(sock, (GET + b"\r\n") * 5000)))
            await asyncio.sleep(0.2)
            await running.scrape()
            await running.scrape()
            for flood in floods:
                flood.cancel()
            await asyncio.gather(*floods, return_exceptions=True)

    served(use)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET /healthz HTTP/1.0\r\n\r\n", 200),
        (GET + b"Connection: close\r\nX: " + b"x" * 5000 + b"\r\n\r\n", 400),
        (GET + b"Connection: close\r\n" + b"X: y\r\n" * 200 + b"\r\n", 400),
        (b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 200, 400),
        (bytes(range(128, 192)) + b"\r\n\r\n", 400),
        (b"GET / HTTP/9.9\r\nHost: localhost\r\n\r\n", 400),
        (b"get / http/1.1\r\n\r\n", 400),
        (b"POST /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9999999999\r\n\r\nx", 405),
        (GET + b"Content-Length: 9999999999\r\n\r\n" + b"x" * 100_000, 413),
        (GET + b"Transfer-Encoding: chunked\r\n\r\nfffffff\r\n" + b"x" * 100_000, 413),
        (GET + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (GET + b"Host: evil.example\r\n\r\n", 400),
        (GET.replace(b"localhost", b"evil.example") + b"\r\n", 421),
        (b"GET http://evil.example/ HTTP/1.1\r\nHost: evil.example\r\n\r\n", 421),
        (b"CONNECT evil.example:443 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", 405),
        (GET + b"Connection: close\r\nExpect: nonsense\r\n\r\n", 417),
        (GET + b"Upgrade: websocket\r\nConnection: Upgrade, close\r\n\r\n", 200),
        (b"GET /\x1b[2J<script> HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", 400),
        (b"GET /%1b%0a<script>%ff HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", 404),
    ],
)
def test_a_malformed_request_is_answered_shortly_and_the_connection_closed(
    data: bytes, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With our headers, without what was sent, without a version, and never logged as a fault."""
    monkeypatch.setattr(protocol, "_LINGER_SECONDS", 0.1)

    async def use(running: RunningWeb) -> None:
        answer = await running.exchange(data)
        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.split(b" ")[1] == str(status).encode(), answer
        if status != 200:
            assert len(body) < 200
            assert b"script" not in body
        for header in (b"X-Content-Type-Options: nosniff", b"Server: checkpointd\r\n"):
            assert header in head + b"\r\n"
        assert b"aiohttp" not in answer
        assert b"Traceback" not in answer
        await running.scrape()

    served(use)


def test_a_malformed_request_is_counted() -> None:
    """So that a scan of the network shows in Prometheus, not in the log."""

    async def use(running: RunningWeb) -> None:
        await running.exchange(b"\x00\r\n\r\n")
        await running.exchange(GET.replace(b"localhost", b"evil.example") + b"\r\n")
        assert running.refused("request") == 1
        assert running.refused("host") == 1

    served(use)
