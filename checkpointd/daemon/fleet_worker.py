"""`checkpointd worker`: the process around a worker of the fleet, its lock and its exit code."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from checkpointd import config as configuration
from checkpointd.config.errors import ConfigError, Problem
from checkpointd.daemon.engine import is_fleet
from checkpointd.ledger import LedgerError, StateLock
from checkpointd.observe import logs
from checkpointd.observe.notify import Notifier

if TYPE_CHECKING:
    from pathlib import Path

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
    try:
        from checkpointd.dispatch.fleet.worker import serve
    except ModuleNotFoundError as error:
        log.error("cannot start", error=f"{error.name} is missing: {how_to_install()}")
        return _UNAVAILABLE
    try:
        place.mkdir(parents=True, exist_ok=True, mode=0o700)
        with StateLock(place):
            asyncio.run(serve(config, place / "scratch", lambda line: _notify(notifier, line)))
    except OSError as error:
        log.error("cannot start", error=f"{place} cannot be used: {error.strerror}")
        return _UNAVAILABLE
    except LedgerError as error:
        log.error("cannot start", error=str(error))
        return _UNAVAILABLE
    return 0


def _notify(notifier: Notifier, line: str) -> None:
    notifier.ready(line)


def how_to_install() -> str:
    """What to do where the extra is missing, as a clause."""
    return "install checkpointd with its extra, `pip install checkpointd[dask]`"
