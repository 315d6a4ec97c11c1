"""What a tag is: a word that people put on checkpoints, and that `keep_tags` refers to."""

from __future__ import annotations

_LONGEST = 100


def why_no_tag(text: str) -> str:
    """Why a text cannot be a tag; empty if it can."""
    if not 0 < len(text) <= _LONGEST:
        return f"a tag has 1 to {_LONGEST} characters"
    if not text.isprintable() or any(c == "," or c.isspace() for c in text):
        return "a tag has no spaces, commas or control characters"
    return ""
