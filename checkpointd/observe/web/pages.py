"""The routes of the pages for people: the overview, all series, one series, one checkpoint."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from aiohttp import web

from checkpointd.observe.web.detail_pages import render_checkpoint, render_series
from checkpointd.observe.web.page import render_all_series, render_page

if TYPE_CHECKING:
    from checkpointd.observe.sources import StatusSource

_MAX_DIGITS = 18


def add_pages(app: web.Application, source: StatusSource) -> None:
    """Add the pages.

    Args:
        app: the application.
        source: returns the state.
    """

    async def overview(_request: web.Request) -> web.Response:
        return _html(render_page(source.status(), source.series(), time.time()))

    async def all_series(_request: web.Request) -> web.Response:
        return _html(render_all_series(source.status(), source.series(), time.time()))

    async def series(request: web.Request) -> web.Response:
        detail = await source.series_detail(request.match_info["id"])
        if detail is None:
            raise web.HTTPNotFound
        return _html(render_series(detail, time.time()))

    async def checkpoint(request: web.Request) -> web.Response:
        detail = await find_checkpoint(source, request.match_info["id"])
        if detail is None:
            raise web.HTTPNotFound
        return _html(render_checkpoint(detail, time.time()))

    app.add_routes(
        [
            web.get("/", overview),
            web.get("/series", all_series),
            web.get("/series/{id}", series),
            web.get("/checkpoints/{id}", checkpoint),
        ]
    )


async def find_checkpoint(source: StatusSource, identity: str) -> dict[str, Any] | None:
    """The full report of a checkpoint by the id in a URL; None if there is no such id."""
    is_number = identity.isascii() and identity.isdecimal() and len(identity) <= _MAX_DIGITS
    return await source.checkpoint(int(identity)) if is_number else None


def _html(text: str) -> web.Response:
    return web.Response(text=text, content_type="text/html")
