"""Marks what was written, so that a later run can see whether somebody has changed it."""

from __future__ import annotations

import hashlib
import re

_MARK = re.compile(
    r"# Written by `checkpointd systemd install`[^\n]*; sha256 ([0-9a-f]{64})\n", re.ASCII
)


def stamped(text: str) -> str:
    """Return a text under a line that holds its hash."""
    return (
        "# Written by `checkpointd systemd install`; change it in a drop-in; "
        f"sha256 {_digest(text)}\n{text}"
    )


def body(text: str) -> str:
    """Return a text without that line, if it has one."""
    return _MARK.sub("", text, count=1)


def is_untouched(text: str) -> bool:
    """Whether a text is as it was written."""
    match = _MARK.match(text)
    return match is not None and match[1] == _digest(text[match.end() :])


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
