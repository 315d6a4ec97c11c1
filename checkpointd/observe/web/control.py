"""The control routes of the unix socket, which `reload`, `prune`, `pin` and others use.

The kernel reports the user at the other end. The group may read over this socket; only the user
that the daemon runs as, or root, may change anything.
"""

from __future__ import annotations

import asyncio
import json
import os
from typing import TYPE_CHECKING, Any

from checkpointd.core.permissions import only_owner
from checkpointd.core.tags import why_no_tag
from checkpointd.core.urls import is_url
from checkpointd.observe.sources import ControlError
from checkpointd.observe.web.peers import peer_uid
from checkpointd.observe.web.responses import error_response, json_response

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aiohttp import web

    from checkpointd.observe.sources import Control

    Body = dict[str, Any]
    Action = Callable[[Body], Awaitable[dict[str, Any]]]

_BODY_SECONDS = 10.0


def add_control(app: web.Application, control: Control) -> None:
    """Add the routes that change something."""

    async def reload(_body: Body) -> dict[str, Any]:
        return await control.reload()

    async def prune(body: Body) -> dict[str, Any]:
        return await control.prune(
            apply=_flag(body, "apply"),
            watch=_text(body, "watch") or None,
            force=_flag(body, "force"),
        )

    async def accept(body: Body) -> dict[str, Any]:
        return await control.accept(_text(body, "watch") or None)

    async def restore(body: Body) -> dict[str, Any]:
        return await control.restore(_path_or_item(body))

    async def empty_trash(body: Body) -> dict[str, Any]:
        return await control.empty_trash(_texts(body, "items"))

    async def verify(body: Body) -> dict[str, Any]:
        return await control.verify(_path(body))

    async def retry_hooks(body: Body) -> dict[str, Any]:
        return await control.retry_hooks(_numbers(body, "ids"))

    marking = _marking(control)
    for action in (reload, prune, accept, *marking, restore, empty_trash, retry_hooks, verify):
        app.router.add_post(f"/control/{action.__name__}", _route(action))


def _marking(control: Control) -> tuple[Action, ...]:
    """The actions about pins and tags."""

    async def pin(body: Body) -> dict[str, Any]:
        return await control.pin(_path(body), _text(body, "note"))

    async def unpin(body: Body) -> dict[str, Any]:
        return await control.unpin(_path(body))

    async def tag(body: Body) -> dict[str, Any]:
        return await control.tag(_path(body), _tags(body))

    async def untag(body: Body) -> dict[str, Any]:
        return await control.untag(_path(body), _tags(body))

    return pin, unpin, tag, untag


def _route(action: Action) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def handle(request: web.Request) -> web.StreamResponse:
        sock = request.get_extra_info("socket")
        uid = peer_uid(sock) if sock is not None else None
        if uid not in (0, os.geteuid()):
            return error_response(only_owner(os.geteuid()), 403)
        try:
            return json_response(await action(await _body(request)))
        except ControlError as error:
            return error_response(str(error), error.status)

    return handle


async def _body(request: web.Request) -> Body:
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            raw = await request.read()
        value = json.loads(raw or b"{}")
    except TimeoutError:
        raise ControlError("The request's body did not arrive.", 408) from None
    except (ValueError, RecursionError):
        raise ControlError("The request's body is not JSON.") from None
    if not isinstance(value, dict):
        raise ControlError("The request's body must be a JSON object.")
    return value


def _text(body: Body, key: str) -> str:
    value = body.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise ControlError(f'"{key}" must be a string.')
    return value


def _numbers(body: Body, key: str) -> list[int] | None:
    value = body.get(key)
    if value is None or (isinstance(value, list) and all(type(one) is int for one in value)):
        return value
    raise ControlError(f'"{key}" must be a list of numbers.')


def _flag(body: Body, key: str) -> bool:
    value = body.get(key, False)
    if not isinstance(value, bool):
        raise ControlError(f'"{key}" must be true or false.')
    return value


def _texts(body: Body, key: str) -> list[str]:
    value = body.get(key)
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        raise ControlError(f'"{key}" must be a list of strings.')
    return value


def _tags(body: Body) -> list[str]:
    tags = _texts(body, "tags")
    for tag in tags:
        wrong = why_no_tag(tag)
        if wrong:
            raise ControlError(f"{tag!r} is not a tag: {wrong}.")
    return tags


def _path_or_item(body: Body) -> str:
    """What was removed: by its path, or by the id of an item, which has no slash."""
    name = _text(body, "path")
    return name if name and "/" not in name and "\0" not in name else _path(body)


def _path(body: Body) -> str:
    path = _text(body, "path")
    if not (path.startswith("/") or is_url(path)) or "\0" in path:
        raise ControlError('"path" must be an absolute path, or a URL of a bucket.')
    return path
