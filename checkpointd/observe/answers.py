"""Answers in JSON, shared by the API and the control socket."""

from __future__ import annotations

import json
import math
from typing import Any

from aiohttp import web


def json_response(value: Any, status: int = 200) -> web.Response:
    """Answer with strict JSON: NaN and Inf become null; odd bytes in names survive as escapes."""
    try:
        text = json.dumps(value, allow_nan=False)
    except ValueError:
        text = json.dumps(_finite(value), allow_nan=False)
    return web.Response(text=text + "\n", status=status, content_type="application/json")


def error_response(message: str, status: int) -> web.Response:
    """Answer with `{"error": sentence}`."""
    return json_response({"error": message}, status)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return value
