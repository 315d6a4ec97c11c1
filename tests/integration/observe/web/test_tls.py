"""TLS, client certificates and the password, over real sockets with real certificates."""

from __future__ import annotations

import asyncio
import base64
import ssl
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import aiohttp
import pytest

from checkpointd.config.web import BasicAuthSettings, TlsSettings, WebSettings
from checkpointd.observe.web import connections
from checkpointd.observe.web import guard as guard_module
from checkpointd.observe.web.connections import limits
from tests.helpers.tls import Pair, needs_openssl, pair
from tests.helpers.web import RunningWeb, received, running_web

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

pytestmark = needs_openssl


@dataclass(frozen=True)
class Issued:
    """Two certificates of the server, each signed by itself, and a CA with a client."""

    first: Pair
    second: Pair
    ca: Pair
    client: Pair


@pytest.fixture(scope="module")
def issued(tmp_path_factory: pytest.TempPathFactory) -> Issued:
    """Made once."""
    directory = tmp_path_factory.mktemp("issued")
    ca = pair(directory, "ca")
    return Issued(
        pair(directory, "first"),
        pair(directory, "second", days=3),
        ca,
        pair(directory, "client", ca),
    )


def settings(
    directory: Path, issued: Issued, *, client_ca: bool = False
) -> tuple[WebSettings, Pair]:
    """Settings with a copy of the first certificate."""
    files = Pair(directory / "web.crt", directory / "web.key")
    issued.first.copy_to(files)
    ca = issued.ca.cert if client_ca else None
    tls = TlsSettings(cert_file=files.cert, key_file=files.key, client_ca_file=ca)
    return WebSettings(tls=tls), files


def trusting(*trusted: Pair, client: Pair | None = None) -> ssl.SSLContext:
    """A client that verifies the server."""
    context = ssl.create_default_context()
    for one in trusted:
        context.load_verify_locations(one.cert)
    if client is not None:
        context.load_cert_chain(client.cert, client.key)
    return context


def served(web: WebSettings, use: Callable[[RunningWeb], Awaitable[None]]) -> None:
    """Serve on a free port, and use it."""

    async def run() -> None:
        async with running_web(web) as running:
            await use(running)

    asyncio.run(run())


def test_a_new_certificate_is_served_from_the_next_connection_on(
    tmp_path: Path, issued: Issued
) -> None:
    """A connection that is open goes on; a broken certificate changes nothing."""
    web, files = settings(tmp_path, issued)

    async def use(running: RunningWeb) -> None:
        assert running.server.url.startswith("https://127.0.0.1:")
        first, second = trusting(issued.first), trusting(issued.second)
        await running.scrape(first)
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await running.scrape(second)
        connector = aiohttp.TCPConnector(ssl=first, limit=1)
        async with aiohttp.ClientSession(running.server.url, connector=connector) as kept:
            async with kept.get("/healthz") as answer:
                assert answer.status == 200
            files.cert.write_bytes(issued.second.cert.read_bytes()[:100])
            assert not running.access.reload()
            await running.scrape(first)
            issued.second.copy_to(files)
            assert running.access.reload()
            await running.scrape(second)
            with pytest.raises(aiohttp.ClientConnectorCertificateError):
                await running.scrape(first)
            async with kept.get("/healthz") as answer:
                assert answer.status == 200

    served(web, use)


def test_old_versions_of_tls_are_refused(tmp_path: Path, issued: Issued) -> None:
    """TLS 1.2 is the least."""
    web, _ = settings(tmp_path, issued)

    async def use(running: RunningWeb) -> None:
        for version, good in ((ssl.TLSVersion.TLSv1_2, True), (ssl.TLSVersion.TLSv1_1, False)):
            client = trusting(issued.first)
            client.set_ciphers("DEFAULT:@SECLEVEL=0")
            with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
                client.minimum_version = client.maximum_version = version
            if good:
                await running.scrape(client)
            else:
                with pytest.raises(aiohttp.ClientConnectorError):
                    await running.scrape(client)

    served(web, use)


def test_only_clients_of_the_ca_are_let_in(tmp_path: Path, issued: Issued) -> None:
    """Not even to /healthz; no certificate and another CA's are the same."""
    web, _ = settings(tmp_path, issued, client_ca=True)

    async def use(running: RunningWeb) -> None:
        await running.scrape(trusting(issued.first, client=issued.client))
        for client in (None, issued.second):
            with pytest.raises((aiohttp.ClientError, ssl.SSLError)):
                await running.scrape(trusting(issued.first, client=client))
        assert running.refused("tls") >= 2

    served(web, use)


def test_a_new_ca_of_the_clients_replaces_the_old_one(tmp_path: Path, issued: Issued) -> None:
    """Whom only the old one signed is refused from the next connection on, with a ticket too."""
    web, _ = settings(tmp_path, issued, client_ca=True)
    assert web.tls is not None
    ca = tmp_path / "clients.crt"
    ca.write_bytes(issued.ca.cert.read_bytes())
    web = web.model_copy(update={"tls": web.tls.model_copy(update={"client_ca_file": ca})})

    async def use(running: RunningWeb) -> None:
        client = trusting(issued.first, client=issued.client)
        await running.scrape(client)
        ca.write_bytes(issued.second.cert.read_bytes())
        assert running.access.reload()
        with pytest.raises((aiohttp.ClientError, ssl.SSLError)):
            await running.scrape(client)
        await running.scrape(trusting(issued.first, client=issued.second))

    served(web, use)


def test_tls_can_be_switched_on_and_off(tmp_path: Path, issued: Issued) -> None:
    """On the same port; a connection that came in the other way and is idle ends."""
    web, _ = settings(tmp_path, issued)

    async def use(running: RunningWeb) -> None:
        client, port = trusting(issued.first), running.port
        await running.scrape(client)
        running.access.apply(WebSettings())
        await running.server.restart()
        idle = await running.connect()
        await running.scrape()
        with pytest.raises(ssl.SSLError):
            await asyncio.open_connection("127.0.0.1", port, ssl=client)
        running.access.apply(web)
        await running.server.restart()
        assert await received(idle) == b""
        idle.close()
        await running.scrape(client)
        assert running.server.url == f"https://127.0.0.1:{port}"

    served(web, use)


def test_handshakes_that_never_end_do_not_stop_a_scrape(
    tmp_path: Path, issued: Issued, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Silence, half a hello, and plain HTTP where TLS is spoken; they are counted as they come."""
    monkeypatch.setattr(connections, "HEADER_SECONDS", 1.0)
    web, _ = settings(tmp_path, issued)

    async def use(running: RunningWeb) -> None:
        half = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 40
        opened = [await running.connect(half if n % 2 else b"") for n in range(200)]
        await running.scrape(trusting(issued.first))
        assert running.server.connections <= limits().per_peer
        answer = await running.exchange(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b"HTTP" not in answer
        assert running.refused("tls") >= 1
        for sock in opened:
            assert await received(sock) == b""
            sock.close()

    served(web, use)


def test_tls_to_a_plain_port_is_nonsense(issued: Issued) -> None:
    """The client gets an error at once, and waits for nothing."""

    async def run() -> None:
        async with running_web() as running:
            with pytest.raises(ssl.SSLError):
                await asyncio.open_connection(
                    "127.0.0.1", running.port, ssl=trusting(issued.first), ssl_handshake_timeout=9
                )
            await running.scrape()

    asyncio.run(run())


def basic(name: str, password: str) -> dict[str, str]:
    """The header that a name and a password make."""
    return {"Authorization": f"Basic {base64.b64encode(f'{name}:{password}'.encode()).decode()}"}


def with_password(directory: Path) -> WebSettings:
    """Settings with a password."""
    files = directory / "web.password"
    files.write_text("s3cret\n", encoding="utf-8")
    files.chmod(0o600)
    return WebSettings(basic_auth=BasicAuthSettings(username="prom", password_file=files))


def test_without_the_password_only_health_is_answered_with_one_word(tmp_path: Path) -> None:
    """For load balancers; what is wrong is for those who know the password."""

    async def use(running: RunningWeb) -> None:
        running.source.changes["problems"] = ["Watch secret-project is down."]
        running.source.changes["ready"] = False
        good = basic("prom", "s3cret")
        async with aiohttp.ClientSession(running.server.url) as client:
            for path, word in (("/healthz", "healthy\n"), ("/readyz", "not ready\n")):
                async with client.get(path) as answer:
                    assert await answer.text() == word
                async with client.get(path, headers=good) as answer:
                    assert await answer.text() == f"{word}Watch secret-project is down.\n"
            for path in ("/", "/metrics", "/api/v1/status", "/api/v1/checkpoints/1", "/nothing"):
                async with client.get(path) as answer:
                    assert answer.status == 401
                    assert answer.headers["WWW-Authenticate"].startswith('Basic realm="')
                    assert answer.headers["X-Content-Type-Options"] == "nosniff"
                    assert "secret" not in await answer.text()
                async with client.get(path, headers=good) as answer:
                    assert answer.status == (404 if path == "/nothing" else 200)
        assert running.refused("password") == 0

    served(with_password(tmp_path), use)


def test_wrong_passwords_are_slow_counted_and_never_logged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Guessing takes its time; meanwhile who knows it is answered at once."""
    monkeypatch.setattr(guard_module, "FAILED_SECONDS", 0.5)

    async def use(running: RunningWeb) -> None:
        clock = asyncio.get_running_loop().time

        async def guess(path: str) -> tuple[int, float]:
            began = clock()
            async with (
                aiohttp.ClientSession(running.server.url) as client,
                client.get(path, headers=basic("hunter1", "hunter2")) as answer,
            ):
                return answer.status, clock() - began

        guesses = asyncio.gather(*(guess(p) for p in ("/metrics", "/healthz", "/nothing")))
        await asyncio.sleep(0.1)
        good = basic("prom", "s3cret")
        async with aiohttp.ClientSession(running.server.url, headers=good) as client:
            async with client.get("/metrics") as answer:
                assert answer.status == 200
            assert not guesses.done()
        assert all(status == 401 and took >= 0.5 for status, took in await guesses)
        assert running.refused("password") == 3

    served(with_password(tmp_path), use)
    written = "".join(capfd.readouterr())
    assert "a wrong name or password" in written
    assert "hunter" not in written
