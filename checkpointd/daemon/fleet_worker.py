"""`checkpointd worker`: the process around a worker of the fleet, its lock and its exit code."""

from __future__ import annotations

import asyncio
from importlib.util import find_spec
from typing import TYPE_CHECKING

import structlog

from checkpointd import config as configuration
from checkpointd.config.errors import ConfigError, Problem
from checkpointd.daemon.engine import is_fleet
from checkpointd.dispatch.fleet.link import NOT_INSTALLED
from checkpointd.ledger import LedgerError, StateLock
from checkpointd.observe import logs
from checkpointd.observe.notify import Notifier

if TYPE_CHECKING:
    from pathlib import Path

    from checkpointd.config import Config

_UNAVAILABLE = 69

log = structlog.get_logger()


def run_worker(path: Path) -> int:
    """Run a worker of the fleet; blocks until it is stopped.

    Args:
        path: the config.

    Returns:
        The exit code.

    Raises:
        ConfigError: the config is wrong, or names no scheduler.
    """
    path = path.absolute()
    config = configuration.load(path)
    if not is_fleet(config):
        message = 'a worker needs engine = "dask" and scheduler = "tls://host:port"'
        raise ConfigError(path, [Problem("dispatch.engine", message, 0)])
    logs.configure(config.daemon.log_format, config.daemon.log_level)
    place = config.state_dir / "worker"
    notifier = Notifier()
    if find_spec("distributed") is None:
        log.error("cannot start", error=NOT_INSTALLED)
        return _UNAVAILABLE
    try:
        place.mkdir(parents=True, exist_ok=True, mode=0o700)
        with StateLock(place):
            asyncio.run(_serve(config, place / "scratch", notifier))
    except OSError as error:
        log.error("cannot start", error=f"{place} cannot be used: {error.strerror}")
        return _UNAVAILABLE
    except LedgerError as error:
        log.error("cannot start", error=str(error))
        return _UNAVAILABLE
    return 0


async def _serve(config: Config, scratch: Path, notifier: Notifier) -> None:
    from checkpointd.dispatch.fleet.worker import serve

    alive = asyncio.create_task(_notify_alive(notifier))
    try:
        await serve(config, scratch, lambda line: _notify(notifier, line))
    finally:
        alive.cancel()


def _notify(notifier: Notifier, line: str) -> None:
    notifier.ready(line)


async def _notify_alive(notifier: Notifier) -> None:
    """Notify systemd's watchdog as long as the event loop runs."""
    while notifier.watchdog_interval is not None:
        notifier.watchdog()
        await asyncio.sleep(notifier.watchdog_interval)
