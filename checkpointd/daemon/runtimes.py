"""The interpreters that checkpoints are loaded with, and what is installed for each.

That may change under a running daemon: TensorFlow is upgraded, a missing package is added, a disk
that hung answers again. `reverification` acts on it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from checkpointd.daemon.last_known import LastKnown
from checkpointd.dispatch.python_installation import describe_runtime

if TYPE_CHECKING:
    from collections.abc import Iterable


class Runtimes:
    """The last known state of each interpreter; each is checked in a separate thread."""

    def __init__(self) -> None:
        self._known = LastKnown("interpreter", describe_runtime)

    def of(self, python: str) -> str:
        """Name an interpreter and what is installed for it; its path alone while that is unknown.

        Args:
            python: as settings name it.
        """
        return self._known.get(python) or python

    async def check(self, pythons: Iterable[str]) -> list[str]:
        """Check interpreters; one whose disk hangs is not waited for.

        Returns:
            Those that have changed.
        """
        pythons = list(pythons)
        before = {python: self.of(python) for python in pythons}
        changed = await self._known.check(pythons)
        return [python for python in changed if self.of(python) != before[python]]

    def close(self) -> None:
        """Cancel all checks; a thread that hangs is left behind."""
        self._known.close()
