"""The watches that run: their settings, their watchers, and how their checkpoints are verified."""

from __future__ import annotations

import asyncio
import contextlib
from collections import UserDict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from checkpointd.core.verify_settings import VerifySettings
from checkpointd.daemon.evaluators import Evaluators

if TYPE_CHECKING:
    from checkpointd.config import WatchSettings
    from checkpointd.daemon.runtimes import Runtimes
    from checkpointd.watch.any_watcher import AnyWatcher

_LOOK_SECONDS = 0.05


@dataclass
class Watch:
    """One watch that runs.

    `labelled` is set once the series of everything that was known before are those that names and
    templates give now: until then, nothing may be removed as a version of another.
    """

    settings: WatchSettings
    watcher: AnyWatcher
    labelled: asyncio.Event = field(default_factory=asyncio.Event)

    async def is_listed(self) -> bool:
        """Wait until its series are up to date; False once its directory cannot be read."""
        while not self.labelled.is_set():
            status = self.watcher.status()
            if not (status.up or status.begins):
                return False
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_SECONDS):
                    await self.labelled.wait()
        return True


class Watches(UserDict[str, Watch]):
    """The watches that run, by name.

    Args:
        runtimes: the interpreters that their checkpoints are loaded with.
    """

    def __init__(self, runtimes: Runtimes) -> None:
        super().__init__()
        self._runtimes = runtimes
        self.evaluators = Evaluators()

    def verify_settings(self, name: str) -> VerifySettings:
        """How checkpoints of a watch are verified now; the defaults if it does not run."""
        watch = self.get(name)
        settings = watch.settings.verify.to_settings() if watch else VerifySettings()
        settings = self.evaluators.in_settings(settings)
        return replace(settings, runtime=self._runtimes.of(settings.python))

    async def check_evaluator(self, name: str) -> None:
        """Read again what checkpoints of a watch are evaluated with: it may have been edited."""
        await self.evaluators.check([self.verify_settings(name)])
