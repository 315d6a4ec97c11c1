"""The watches that run: their settings, their watchers, and how their checkpoints are verified."""

from __future__ import annotations

from collections import UserDict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from checkpointd.core.verify_settings import VerifySettings

if TYPE_CHECKING:
    from checkpointd.config import WatchSettings
    from checkpointd.daemon.runtimes import Runtimes
    from checkpointd.watch.watcher import Watcher


@dataclass
class Watch:
    """One watch that runs; `listed`: all that its first listing found is in the ledger."""

    settings: WatchSettings
    watcher: Watcher
    listed: bool = False


class Watches(UserDict[str, Watch]):
    """The watches that run, by name.

    Args:
        runtimes: the interpreters that their checkpoints are loaded with.
    """

    def __init__(self, runtimes: Runtimes) -> None:
        super().__init__()
        self._runtimes = runtimes

    def verify_settings(self, name: str) -> VerifySettings:
        """How checkpoints of a watch are verified now; the defaults if it does not run."""
        watch = self.get(name)
        settings = watch.settings.verify.to_settings() if watch else VerifySettings()
        return replace(settings, runtime=self._runtimes.of(settings.python))
