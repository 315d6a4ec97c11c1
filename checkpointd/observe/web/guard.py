"""What a request over TCP may do: only read, under a known host name, with the right password.

`/healthz` and `/readyz` also answer without a password, for load balancers, with a single word.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import structlog
from aiohttp import web

from checkpointd.observe.web.hosts import is_known_host

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aiohttp.typedefs import Middleware

    from checkpointd.observe.web.access import Access

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

FAILED_SECONDS = 1.0
"""How long the answer to a wrong password is delayed."""

_OPEN = ("/healthz", "/readyz")
_QUIET_SECONDS = 60.0
_CHALLENGE = {"WWW-Authenticate": 'Basic realm="checkpointd", charset="UTF-8"'}

log = structlog.get_logger()


def guard(access: Access, refused: Callable[[str], None]) -> Middleware:
    """Return the middleware for TCP.

    Args:
        access: the settings and credentials in use.
        refused: is called with `host`, `password` or `request` for each request refused.
    """
    failures = _Failures()

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.method not in ("GET", "HEAD"):
            refused("request")
            raise web.HTTPMethodNotAllowed(request.method, ("GET", "HEAD"))
        if request.body_exists:
            refused("request")
            return _closed("Requests must not have a body.", 413)
        if not _known_host(request, access):
            refused("host")
            return _closed(
                "This daemon is not known by that name: use its address, or add the name to "
                "[web] hosts.",
                421,
            )
        if is_authorised(request, access):
            return await handler(request)
        if request.path in _OPEN and "Authorization" not in request.headers:
            return await handler(request)
        return await _challenge(request)

    async def _challenge(request: web.Request) -> web.Response:
        if "Authorization" in request.headers:
            refused("password")
            failures.record(request.remote or "")
            await asyncio.sleep(FAILED_SECONDS)
        response = web.Response(text="A user name and a password are required.\n", status=401)
        response.headers.update(_CHALLENGE)
        return response

    return check


def is_authorised(request: web.Request, access: Access) -> bool:
    """Whether a request has the right name and password, or needs none."""
    return not access.needs_password or access.admits(request.headers.get("Authorization", ""))


def _known_host(request: web.Request, access: Access) -> bool:
    settings = access.web
    if not settings.hosts and not settings.on_loopback:
        return True
    return is_known_host(request.headers.getall("Host", ()), settings.hosts)


def _closed(sentence: str, status: int) -> web.Response:
    response = web.Response(text=f"{sentence}\n", status=status)
    response.force_close()
    return response


class _Failures:
    """Logs wrong passwords at most once a minute, never what was sent."""

    def __init__(self) -> None:
        self._count = 0
        self._due = 0.0

    def record(self, address: str) -> None:
        self._count += 1
        now = time.monotonic()
        if now >= self._due:
            log.warning("a wrong name or password", times=self._count, last_from=address)
            self._count, self._due = 0, now + _QUIET_SECONDS
