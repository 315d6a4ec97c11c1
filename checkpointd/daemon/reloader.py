"""Reads the config again and applies it to the running daemon."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Protocol

import structlog

from checkpointd import config as configuration
from checkpointd.config import Config, ConfigError, WorkerSettings
from checkpointd.observe import logs
from checkpointd.observe.web.credentials import CredentialsError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from checkpointd.daemon.active_config import ActiveConfig
    from checkpointd.daemon.servers import Servers
    from checkpointd.daemon.status_builder import StatusBuilder
    from checkpointd.daemon.watch_manager import WatchManager
    from checkpointd.dispatch import Dispatcher
    from checkpointd.observe.metrics import Metrics
    from checkpointd.observe.notify import Notifier

log = structlog.get_logger()


class Configured(Protocol):
    """A part of the daemon that follows the config."""

    async def configure(self, config: Config) -> None:
        """Use a config from now on."""
        ...


class Reloader:
    """Applies one reload at a time.

    Args:
        active: the config in force.
        servers: the web server.
        dispatcher: the workers.
        manager: starts and stops watches.
        metrics: counts reloads.
        notifier: informs systemd.
        status: gives the line that systemd shows.
        configured: what else follows the config.
    """

    def __init__(
        self,
        active: ActiveConfig,
        servers: Servers,
        dispatcher: Dispatcher,
        manager: WatchManager,
        metrics: Metrics,
        notifier: Notifier,
        status: StatusBuilder,
        configured: Sequence[Configured],
    ) -> None:
        self._active = active
        self._servers = servers
        self._dispatcher = dispatcher
        self._manager = manager
        self._metrics = metrics
        self._notifier = notifier
        self._status = status
        self._configured = configured
        self._lock = asyncio.Lock()

    async def reload(self) -> dict[str, Any]:
        """Read the config and apply it, whole or not at all.

        Returns:
            `{"ok": bool, "message": sentence}`.
        """
        async with self._lock:
            self._notifier.reloading()
            try:
                return await self._reload()
            finally:
                self._notifier.ready(self._status.line())

    async def _reload(self) -> dict[str, Any]:
        try:
            new = await asyncio.to_thread(configuration.load, self._active.path)
            await self._servers.change(new.web)
        except (ConfigError, CredentialsError) as error:
            return self._failed("reload failed, the old config stays", str(error))
        old = self._active.config
        problems = await self._apply(old, new)
        if problems:
            return self._failed("reload failed in part", " ".join(problems))
        return self._succeeded(new, _removed_watches(old, new), _needs_restart(old, new))

    async def _apply(self, old: Config, new: Config) -> list[str]:
        """Apply what can be changed in a running daemon; return what could not be started."""
        active = self._active
        active.error, active.loaded_at = "", time.time()
        active.config = new.model_copy(
            update={
                "daemon": old.daemon,
                "dispatch": old.dispatch,
                "web": self._servers.access.web.model_copy(update={"listen": old.web.listen}),
                "worker": _with_sandbox(old.worker, new.worker.sandbox),
            }
        )
        self._dispatcher.configure(active.config.worker)
        logs.configure(new.daemon.log_format, new.daemon.log_level)
        problems = await self._manager.replace(new.watch)
        for part in self._configured:
            await part.configure(active.config)
        self._dispatcher.forget({w.verify.to_settings().python for w in new.watch})
        if new.worker.sandbox != old.worker.sandbox:
            await self._manager.renew_verdicts()
        return problems

    def _failed(self, event: str, problems: str) -> dict[str, Any]:
        self._active.error = problems
        self._metrics.reload(ok=False, at=time.time())
        log.error(event, problems=problems)
        return {"ok": False, "message": problems}

    def _succeeded(self, new: Config, removed: list[str], restart: list[str]) -> dict[str, Any]:
        self._metrics.watches(w.name for w in new.watch)
        self._metrics.reload(ok=True, at=self._active.loaded_at)
        count = len(new.watch)
        message = f"reloaded; {count} watch{'' if count == 1 else 'es'}"
        if removed:
            message += f"; not watched any more: {', '.join(removed)}"
        if restart:
            message += f"; needs a restart: {', '.join(restart)}"
        self._active.log_problems()
        log.info(
            "reloaded",
            watches=len(new.watch),
            taken_out=",".join(removed),
            needs_restart=",".join(restart),
        )
        return {"ok": True, "message": message}


def _removed_watches(old: Config, new: Config) -> list[str]:
    """The names of the watches that are not in the config any more."""
    remaining = {watch.name for watch in new.watch}
    return [watch.name for watch in old.watch if watch.name not in remaining]


def _needs_restart(old: Config, new: Config) -> list[str]:
    """The keys that have changed and are only read at a start."""
    pairs = (
        ("daemon.state_dir", old.daemon.state_dir, new.daemon.state_dir),
        ("web.listen", old.web.listen, new.web.listen),
        ("dispatch", old.dispatch, new.dispatch),
        ("worker", old.worker, _with_sandbox(new.worker, old.worker.sandbox)),
    )
    return [key for key, before, after in pairs if before != after]


def _with_sandbox(worker: WorkerSettings, sandbox: str) -> WorkerSettings:
    """Settings of workers with another `sandbox`, which alone changes without a restart."""
    return worker.model_copy(update={"sandbox": sandbox})
