"""The web application: metrics, health, the status page, the JSON API.

The same application serves TCP, where it only answers reading requests that `guard` lets through,
and with a `Control` the unix socket of the command line. No answer may be framed, cached or
sniffed; a client that does not read its answer is dropped.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import structlog
from aiohttp import web

from checkpointd.core.text import utf8
from checkpointd.ledger import State
from checkpointd.observe.web.access import Access
from checkpointd.observe.web.control import add_control
from checkpointd.observe.web.guard import guard, is_authorised
from checkpointd.observe.web.headers import HEADERS
from checkpointd.observe.web.pages import add_pages, find_checkpoint
from checkpointd.observe.web.protocol import Handler as Protocol
from checkpointd.observe.web.responses import error_response, json_response

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aiohttp.typedefs import Middleware

    from checkpointd.observe.metrics import Metrics
    from checkpointd.observe.sources import Control, StatusSource
    from checkpointd.observe.status import DaemonStatus

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

MAX_BODY = 64 * 1024
"""Bytes of a request's body: a path or two."""

SEND_SECONDS = 30.0
"""How long a client may take to read an answer."""

DEFAULT_LIMIT = 50
MAX_LIMIT = 1000

_STATES = tuple(map(str, State))
_NOT_FOUND = "Nothing here. Try / or /metrics, /healthz, /readyz, /api/v1/status.\n"

log = structlog.get_logger()


def create_app(
    source: StatusSource,
    metrics: Metrics,
    control: Control | None = None,
    access: Access | None = None,
) -> web.Application:
    """Create the application.

    Args:
        source: returns the state.
        metrics: returns the exposition.
        control: carries out changes; None for TCP, where nothing can be changed.
        access: who may read over TCP; by default everybody, under a local host name.
    """
    access = access or Access()
    middlewares: list[Middleware] = [_answer]
    if control is None:
        middlewares.append(guard(access, metrics.web_refused))
    app = web.Application(middlewares=middlewares, client_max_size=MAX_BODY)
    app.on_response_prepare.append(_protect)
    views = _Views(source, metrics, access)
    app.add_routes(
        [
            web.get("/metrics", views.metrics),
            web.get("/healthz", views.healthz),
            web.get("/readyz", views.readyz),
            web.get("/api/v1/status", views.status),
            web.get("/api/v1/series", views.series),
            web.get("/api/v1/series/{id}", views.series_detail),
            web.get("/api/v1/checkpoints", views.checkpoints),
            web.get("/api/v1/checkpoints/{id}", views.checkpoint),
        ]
    )
    add_pages(app, source)
    if control is not None:
        add_control(app, control)
    return app


class _Views:
    def __init__(self, source: StatusSource, metrics: Metrics, access: Access) -> None:
        self._source = source
        self._metrics = metrics
        self._access = access

    async def metrics(self, request: web.Request) -> web.Response:
        self._access.last_scrape_at = time.time()
        body, content_type = self._metrics.render(",".join(request.headers.getall("Accept", ())))
        return web.Response(body=body, headers={"Content-Type": content_type})

    async def healthz(self, request: web.Request) -> web.Response:
        status = self._source.status()
        return self._health(request, "healthy", status.healthy, status)

    async def readyz(self, request: web.Request) -> web.Response:
        status = self._source.status()
        return self._health(request, "ready", status.ready, status)

    def _health(
        self, request: web.Request, word: str, good: bool, status: DaemonStatus
    ) -> web.Response:
        lines = [word if good else f"not {word}"]
        if is_authorised(request, self._access):
            lines += status.problems
        return web.Response(text=utf8("\n".join(lines)) + "\n", status=200 if good else 503)

    async def status(self, _request: web.Request) -> web.Response:
        return json_response(self._source.status().to_public())

    async def series(self, request: web.Request) -> web.Response:
        if set(request.query) - {"watch"}:
            return error_response("The only parameter is watch.", 400)
        statuses = self._source.series(request.query.get("watch"))
        return json_response([one.to_public() for one in statuses])

    async def series_detail(self, request: web.Request) -> web.Response:
        detail = await self._source.series_detail(request.match_info["id"])
        if detail is None:
            return error_response("There is no series with this id.", 404)
        return json_response(detail.to_public())

    async def checkpoints(self, request: web.Request) -> web.Response:
        query = request.query
        limit = query.get("limit", str(DEFAULT_LIMIT))
        if not (limit.isascii() and limit.isdecimal() and 1 <= int(limit[:9]) <= MAX_LIMIT):
            return error_response(f"limit must be a number from 1 to {MAX_LIMIT}.", 400)
        unknown = sorted(set(query) - {"watch", "series", "state", "limit"})
        if unknown:
            return error_response("The only parameters are watch, series, state and limit.", 400)
        state = query.get("state")
        if state is not None and state not in _STATES:
            return error_response(f"state must be one of {', '.join(_STATES)}.", 400)
        rows = await self._source.checkpoints(
            watch=query.get("watch"),
            series=query.get("series"),
            state=state,
            limit=int(limit),
        )
        return json_response(rows)

    async def checkpoint(self, request: web.Request) -> web.Response:
        detail = await find_checkpoint(self._source, request.match_info["id"])
        if detail is None:
            return error_response("There is no checkpoint with this id.", 404)
        return json_response(detail)


async def _protect(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(HEADERS)


@web.middleware
async def _answer(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn every outcome into a short answer, and limit how long sending it may take."""
    connection = request.protocol.connection if isinstance(request.protocol, Protocol) else None
    if connection is None:
        raise ConnectionError("dropped before its request was read")
    connection.begin(asyncio.get_running_loop().time())
    try:
        response = await _outcome(request, handler)
        async with asyncio.timeout(SEND_SECONDS):
            await response.prepare(request)
            await response.write_eof()
    except TimeoutError:
        connection.drop()
        raise ConnectionError("the answer was not read") from None
    finally:
        connection.busy_since = None
    connection.answered |= response.status == web.HTTPOk.status_code
    return response


async def _outcome(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPException as error:
        return _short(request, error)
    except asyncio.CancelledError:
        raise
    except Exception:
        log.exception("a request failed", path=request.path)
        return error_response("The daemon could not answer this: see its log.", 500)


def _short(request: web.Request, error: web.HTTPException) -> web.Response:
    text = _NOT_FOUND if error.status == web.HTTPNotFound.status_code else f"{error.reason}.\n"
    allow = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
    if request.path.startswith(("/api/", "/control/")):
        response = error_response(text.strip(), error.status)
    else:
        response = web.Response(text=text, status=error.status)
    response.headers.update(allow)
    return response
