"""Which processes a dispatcher has, seen from outside."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import psutil
import pytest

if TYPE_CHECKING:
    from checkpointd.dispatch.local import LocalDispatcher


async def only_zygotes_are_left(dispatcher: LocalDispatcher) -> None:
    """Wait until no child of a zygote is left; one that has answered takes a moment to end."""
    zygotes = {row["pid"] for row in dispatcher.status()}
    for _ in range(1000):
        left = {p.pid for p in psutil.Process().children(recursive=True)} - zygotes
        if not left:
            return
        await asyncio.sleep(0.02)
    pytest.fail(f"these are left: {left}")
