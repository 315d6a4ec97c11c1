"""Who may ask over TCP, and what: reading alone, by our own name, with the right password.

`/healthz` and `/readyz` answer without a password, for load balancers, but with one word alone.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import structlog
from aiohttp import web

from checkpointd.observe.web.hosts import is_ours

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aiohttp.typedefs import Middleware

    from checkpointd.observe.web.access import Access

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

FAILED_SECONDS = 1.0
"""How long the answer to a wrong password takes."""

_OPEN = ("/healthz", "/readyz")
_QUIET_SECONDS = 60.0
_CHALLENGE = {"WWW-Authenticate": 'Basic realm="checkpointd", charset="UTF-8"'}

log = structlog.get_logger()


def guard(access: Access, refused: Callable[[str], None]) -> Middleware:
    """Make the middleware of the TCP side.

    Args:
        access: what is in force.
        refused: is told `host`, `password` or `request` for each request refused.
    """
    failures = _Failures()

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.method not in ("GET", "HEAD"):
            refused("request")
            raise web.HTTPMethodNotAllowed(request.method, ("GET", "HEAD"))
        if request.body_exists:
            refused("request")
            return _closed("A request has no body here.", 413)
        if not _by_our_name(request, access):
            refused("host")
            told = "This daemon is not known by that name: use its address, or add the name to"
            return _closed(f"{told} [web] hosts.", 421)
        if knows(request, access):
            return await handler(request)
        if request.path in _OPEN and "Authorization" not in request.headers:
            return await handler(request)
        return await _challenge(request)

    async def _challenge(request: web.Request) -> web.Response:
        if "Authorization" in request.headers:
            refused("password")
            failures.tell(request.remote or "")
            await asyncio.sleep(FAILED_SECONDS)
        response = web.Response(text="A name and a password are needed.\n", status=401)
        response.headers.update(_CHALLENGE)
        return response

    return check


def knows(request: web.Request, access: Access) -> bool:
    """Whether a request comes with the name and password that are needed, if any are."""
    given = request.headers.get("Authorization", "")
    return not access.needs_password or access.admits(given)


def _by_our_name(request: web.Request, access: Access) -> bool:
    settings = access.web
    if not settings.hosts and not settings.on_loopback:
        return True
    return is_ours(request.headers.getall("Host", ()), settings.hosts)


def _closed(sentence: str, status: int) -> web.Response:
    response = web.Response(text=f"{sentence}\n", status=status)
    response.force_close()
    return response


class _Failures:
    """Logs wrong passwords at most once a minute, never what was sent."""

    def __init__(self) -> None:
        self._count = 0
        self._due = 0.0

    def tell(self, address: str) -> None:
        self._count += 1
        now = time.monotonic()
        if now >= self._due:
            log.warning("a wrong name or password", times=self._count, last_from=address)
            self._count, self._due = 0, now + _QUIET_SECONDS
