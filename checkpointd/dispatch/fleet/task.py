"""The function that the cluster runs: it is imported by its name, and takes and returns bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Handler = Callable[[bytes], Awaitable[bytes]]

_handlers: list[Handler] = []


def serve_with(handler: Handler | None) -> None:
    """Have this process answer tasks with a function; with None it answers none."""
    _handlers[:] = [] if handler is None else [handler]


async def verify(task: bytes) -> bytes:
    """Verify one checkpoint; runs in the event loop of `checkpointd worker`.

    Raises:
        RuntimeError: this process is another kind of Dask worker.
    """
    if not _handlers:
        raise RuntimeError("this is not a worker that was started by `checkpointd worker`")
    return await _handlers[0](task)
