"""Which hosts of a fleet have the same fault again and again: the host is its cause. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from checkpointd.core.request import Request

_LEAST = 3
"""After this many checkpoints in a row with the fault on a host, the host is to blame."""

OTHER_MOUNT = (
    "{host} sees other files than this host does: mount the same file system at the same place "
    "there. The last one: {message}"
)
CANNOT_VERIFY = (
    "{host} cannot verify what another host can: look at it, then restart the worker there. The "
    "last one: {message}"
)


class RepeatedFaults:
    """The faults of each host since it was last without one.

    Args:
        sentence: says what is wrong with `{host}`, and what to do; `{message}` is the last fault.
    """

    def __init__(self, sentence: str) -> None:
        self._sentence = sentence
        self._seen: dict[str, list[tuple[str, str]]] = {}
        self._problems: dict[str, str] = {}

    def add(self, host: str, request: Request, message: str) -> None:
        """Note that a host had the fault with a checkpoint.

        One that has other content than the last time does not count: it is written all the time,
        and looks different because it has changed on its way to the host.

        Args:
            host: its name.
            request: what it was asked to verify.
            message: the fault, as a sentence.
        """
        path, key = request.checkpoint.path, request.generation.key
        seen = self._seen.setdefault(host, [])
        if all(other != path or content == key for other, content in seen):
            seen.append((path, key))
        if len(seen) >= _LEAST:
            self._problems[host] = self._sentence.format(host=host, message=message)
            del seen[:-_LEAST]

    def clear(self, host: str) -> None:
        """Note that a host was without the fault."""
        self._seen.pop(host, None)
        self._problems.pop(host, None)

    def problems(self, hosts: Iterable[str]) -> list[str]:
        """Return a sentence for each of these hosts that is the cause of its faults."""
        return [self._problems[host] for host in sorted(hosts) if host in self._problems]
