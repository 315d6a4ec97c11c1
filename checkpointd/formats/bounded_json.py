"""JSON from a checkpoint, read so that a few bytes of it cannot become gigabytes of memory.

An empty list is two bytes in a file and 56 in memory, so the size of the text alone bounds little:
its brackets and commas are counted before it is parsed. A layer has some ten of the first, a
vocabulary one of the second a word.
"""

from __future__ import annotations

import json
from typing import Any

from checkpointd.formats.facts import MALFORMED, FormatError

MAX_BYTES = 64 << 20
_MAX_CONTAINERS = 1_000_000
_MAX_VALUES = 8_000_000


def parse(data: bytes | str, name: str) -> Any:
    """Parse JSON of bounded size, density and depth.

    Args:
        data: the text.
        name: names it in the sentence, such as `config.json in the archive`.

    Raises:
        FormatError: it is no JSON, is nested deeper than any configuration, or is enormous.
    """
    text = data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data
    if len(text) > MAX_BYTES:
        raise FormatError(
            MALFORMED, f"{name} has {len(text)} bytes, far more than any configuration."
        )
    if text.count(b"[") + text.count(b"{") > _MAX_CONTAINERS or text.count(b",") > _MAX_VALUES:
        raise FormatError(MALFORMED, f"{name} holds far more values than any configuration.")
    try:
        return json.loads(text)
    except RecursionError:
        raise FormatError(MALFORMED, f"{name} is no JSON: it is nested without end.") from None
    except ValueError as error:
        detail = str(error)[:200]
        raise FormatError(MALFORMED, f"{name} is no JSON: {detail}.") from None
