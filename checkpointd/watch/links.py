"""Symbolic links that lead out of a root: what they name is not watched; the status names them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from checkpointd.core.format_specs import Format
from checkpointd.formats.names import BUNDLE_PART, hint_of

if TYPE_CHECKING:
    from collections.abc import Sequence


def links_out_of(root: str, links: Sequence[str]) -> tuple[str, ...]:
    """Return the links to directories outside a root, or to files there with a checkpoint's name.

    A link that leads nowhere is none of them, and neither is one to what is found in the root.
    """
    real_root = os.path.realpath(root).rstrip("/") + "/" if links else ""
    return tuple(
        link
        for link in links
        if (os.path.isdir(link) or (_promises_checkpoint(link) and os.path.isfile(link)))
        and not f"{os.path.realpath(link)}/".startswith(real_root)
    )


def explain_links(links: Sequence[str]) -> str:
    """Return a sentence about links that lead out of the root, and what to do; empty for none."""
    if not links:
        return ""
    first = min(links)
    is_one = len(links) == 1
    verbs = ("1 link leads", "is") if is_one else (f"{len(links)} links lead", "are")
    target = os.path.realpath(first)
    return (
        f"{verbs[0]} out of the root and {verbs[1]} not followed, such as {first!r}: to have what "
        f"is there verified, add a watch for {target!r} or a directory above it."
    )


def _promises_checkpoint(path: str) -> bool:
    name = os.path.basename(path)
    return hint_of(name) is not Format.UNKNOWN or BUNDLE_PART.fullmatch(name) is not None
