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
        what: they are, as the name of the threads.
        describe: looks at one; what is known stays where it raises OSError.
    """

    def __init__(self, what: str, describe: Callable[[Key], str]) -> None:
        self._what = what
        self._describe = describe
        self._known: dict[Key, str] = {}
        self._disks: dict[Key, DiskThread] = {}
        self._checks: dict[Key, asyncio.Task[str]] = {}

    def get(self, key: Key) -> str | None:
        """What is known of one; None while that is nothing."""
        return self._known.get(key)

    async def check(self, keys: Iterable[Key]) -> list[Key]:
        """Look at some; one whose disk hangs is not waited for.

        Returns:
            Those that are not what they were, or were not known.
        """
        requested = set(keys)
        for key in requested - set(self._checks):
            disk = self._disks.get(key)
            if disk is None:
                disk = self._disks[key] = DiskThread(self._what)
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
        """Cancel all checks; what hangs is left behind."""
        for check in self._checks.values():
            check.cancel()
        for disk in self._disks.values():
            disk.close()
