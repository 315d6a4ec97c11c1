"""The interpreters that checkpoints are loaded with: looked at again and again, never waited for.

What is installed in one may change under a running daemon: TensorFlow is upgraded, a missing
package is added, the disk that it lies on comes back. Then a fresh interpreter loads, and what
was invalid or inconclusive in the watches that use it is verified again.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import structlog

from checkpointd.daemon.threads import DiskThread
from checkpointd.dispatch.python_installation import describe_runtime
from checkpointd.ledger import LedgerError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from checkpointd.daemon.event_handler import Engine

_LOOK_SECONDS = 5.0
_ROUND_SECONDS = 10.0

log = structlog.get_logger()


class Runtimes:
    """What was last found out about each interpreter; each has a thread of its own."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}
        self._disks: dict[str, DiskThread] = {}
        self._looks: dict[str, asyncio.Task[str]] = {}

    def of(self, python: str) -> str:
        """Name an interpreter and what is installed for it; its path alone while that is unknown.

        Args:
            python: as settings name it.
        """
        return self._known.get(python, python)

    async def look(self, pythons: Iterable[str]) -> list[str]:
        """Look at interpreters; one whose disk hangs is left to answer when it can.

        Returns:
            Those that have changed.
        """
        wanted = set(pythons)
        for python in wanted - set(self._looks):
            disk = self._disks.get(python)
            if disk is None:
                disk = self._disks[python] = DiskThread("interpreter")
            self._looks[python] = asyncio.create_task(disk(describe_runtime, python))
        looks = {python: self._looks[python] for python in wanted}
        if looks:
            await asyncio.wait(looks.values(), timeout=_LOOK_SECONDS)
        changed = []
        for python, look in looks.items():
            if look.done() and self._looks.get(python) is look:
                del self._looks[python]
                before, now = self.of(python), look.result()
                self._known[python] = now
                changed += [python] if before != now else []
        return changed

    def close(self) -> None:
        """Look no more; what hangs is left behind."""
        for look in self._looks.values():
            look.cancel()
        for disk in self._disks.values():
            disk.close()


async def keep_current(engine: Engine) -> None:
    """Have checkpoints verified again whenever an interpreter has changed, until cancelled."""
    stale: set[str] = set()
    while True:
        await asyncio.sleep(_ROUND_SECONDS)
        used = {name: engine.settings(name).python for name in engine.watches}
        for python in await engine.runtimes.look(used.values()):
            log.info("interpreter has changed", runtime=engine.runtimes.of(python))
            engine.dispatcher.renew(python)
            stale |= {name for name in used if used[name] == python}
        for name in stale & set(engine.watches):
            with contextlib.suppress(LedgerError):  # it is told elsewhere, and comes again
                await engine.verify_again(await engine.outdated(name))
                stale.discard(name)
