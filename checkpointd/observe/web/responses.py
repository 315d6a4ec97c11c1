"""Answers in JSON, shared by the API and the control socket."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from checkpointd.core.text import json_text


def json_response(value: Any, status: int = 200) -> web.Response:
    """Answer with strict JSON."""
    text = json_text(value) + "\n"
    return web.Response(text=text, status=status, content_type="application/json")


def error_response(message: str, status: int) -> web.Response:
    """Answer with `{"error": sentence}`."""
    return json_response({"error": message}, status)
