"""Which hosts of a fleet see other files than the daemon: their mount is another one. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from checkpointd.core.request import Request

_LEAST = 3
"""So many checkpoints in a row look different on a host: its mount is not that of the daemon."""


class Mismatches:
    """What looked different on each host since it last saw what the daemon sees."""

    def __init__(self) -> None:
        self._seen: dict[str, list[tuple[str, str]]] = {}
        self._messages: dict[str, str] = {}

    def add(self, host: str, request: Request, message: str) -> None:
        """Note a checkpoint that looks different on a host.

        One that has other content than the last time does not count: it is written all the time,
        and looks different because it has changed on its way to the host.

        Args:
            host: its name.
            request: what it was asked to verify.
            message: how that looks there, as a sentence.
        """
        path, key = request.checkpoint.path, request.generation.key
        seen = self._seen.setdefault(host, [])
        if all(other != path or content == key for other, content in seen):
            seen.append((path, key))
        if len(seen) >= _LEAST:
            self._messages[host] = (
                f"{host} sees other files than this host does: mount the same file system at "
                f"the same place there. The last one: {message}"
            )
            del seen[:-_LEAST]

    def clear(self, host: str) -> None:
        """Note that a host sees what the daemon sees."""
        self._seen.pop(host, None)
        self._messages.pop(host, None)

    def problems(self) -> list[str]:
        """Return a sentence for each host whose mount is another one."""
        return [self._messages[host] for host in sorted(self._messages)]
