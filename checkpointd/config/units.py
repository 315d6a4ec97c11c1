"""Sizes, durations and percentages as people write them."""

from __future__ import annotations

import re

_SIZES = {"B": 1, **{f"{p}iB": 1024**i for i, p in enumerate("KMGT", 1)}}
_SIZES |= {f"{p}B": 1000**i for i, p in enumerate("KMGT", 1)}
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}


def parse_size(value: object) -> int:
    """Turn `"8GiB"`, `"500MB"` or a count of bytes into bytes.

    Raises:
        ValueError: with a message that explains what is accepted.
    """
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return value
    match = (
        re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]+)\s*", value)
        if isinstance(value, str)
        else None
    )
    if match is None or match[2] not in _SIZES or float(match[1]) <= 0:
        raise ValueError('expected a positive size such as "512MiB" or "8GiB"')
    return int(float(match[1]) * _SIZES[match[2]])


def parse_duration(value: object) -> float:
    """Turn `"90s"`, `"36h"`, `"7d"`, `"1h30m"` or a count of seconds into seconds.

    Raises:
        ValueError: with a message that explains what is accepted.
    """
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < float("inf"):
        return float(value)
    parts = re.findall(r"(\d+(?:\.\d+)?)\s*(ms|[smhdw])", value) if isinstance(value, str) else []
    text = re.sub(r"\s+", "", value) if isinstance(value, str) else ""
    if not parts or "".join(n + u for n, u in parts) != text:
        raise ValueError('expected a positive duration such as "90s", "36h" or "7d"')
    seconds = sum(float(number) * _SECONDS[unit] for number, unit in parts)
    if seconds <= 0:
        raise ValueError('expected a positive duration such as "90s", "36h" or "7d"')
    return seconds


def parse_share(value: object) -> float:
    """Turn `"80%"` into 0.8; what is a number between 0 and 1 already stays.

    Raises:
        ValueError: with a message that explains what is accepted.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*%\s*", value) if isinstance(value, str) else None
    share = float(match[1]) / 100 if match else value
    if not isinstance(share, float) or not 0 < share < 1:
        raise ValueError('expected a percentage between 0 and 100, such as "80%"')
    return share
