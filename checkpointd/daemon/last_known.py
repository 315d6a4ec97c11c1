"""Facts about what may change on a disk that may hang: the last known ones, each checked alone."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Generic, TypeVar

from checkpointd.daemon.threads import DiskThread

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable

_CHECK_SECONDS = 5.0
Key = TypeVar("Key", bound="Hashable")


class LastKnown(Generic[Key]):
    """The last known description of each of several things; each is checked in its own thread.

    Args:
        kind: what is described, for the names of the threads.
        describe: returns the description of a key; the last one stays if it raises OSError.
    """

    def __init__(self, kind: str, describe: Callable[[Key], str]) -> None:
        self._kind = kind
        self._describe = describe
        self._known: dict[Key, str] = {}
        self._disks: dict[Key, DiskThread] = {}
        self._checks: dict[Key, asyncio.Task[str]] = {}

    def get(self, key: Key) -> str | None:
        """The last description of `key`; None before there is one."""
        return self._known.get(key)

    async def check(self, keys: Iterable[Key]) -> list[Key]:
        """Describe some keys again; does not wait for one whose disk hangs.

        Returns:
            The keys whose description has changed or is new.
        """
        requested = set(keys)
        for key in requested - set(self._checks):
            disk = self._disks.get(key)
            if disk is None:
                disk = self._disks[key] = DiskThread(self._kind)
            self._checks[key] = asyncio.create_task(disk(self._describe, key))
        checks = {key: self._checks[key] for key in requested}
        if checks:
            await asyncio.wait(checks.values(), timeout=_CHECK_SECONDS)
        changed = []
        for key, check in checks.items():
            if check.done() and self._checks.get(key) is check:
                del self._checks[key]
                before = self._known.get(key)
                self._known[key] = now = self._result(check, before)
                changed += [key] if before != now else []
        return changed

    @staticmethod
    def _result(check: asyncio.Task[str], before: str | None) -> str:
        try:
            return check.result()
        except OSError:
            return before or ""

    def close(self) -> None:
        """Cancel all checks; a thread that hangs is left behind."""
        for check in self._checks.values():
            check.cancel()
        for disk in self._disks.values():
            disk.close()
