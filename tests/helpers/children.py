"""Which processes a dispatcher has, seen from outside."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import psutil
import pytest

if TYPE_CHECKING:
    from checkpointd.dispatch.local import LocalDispatcher


SERVERS = set[int]()
"""The processes of servers that serve all tests of a run, and end with it."""


def own_children(*, recursive: bool = True) -> list[psutil.Process]:
    """The children of this process but for such servers."""
    children = psutil.Process().children(recursive=recursive)
    return [child for child in children if child.pid not in SERVERS]


async def only_zygotes_are_left(dispatcher: LocalDispatcher) -> None:
    """Wait until no child of a zygote is left; one that has answered takes a moment to end."""
    zygotes = {row["pid"] for row in dispatcher.status()}
    for _ in range(1000):
        left = {child.pid for child in own_children()} - zygotes
        if not left:
            return
        await asyncio.sleep(0.02)
    pytest.fail(f"these are left: {left}")
