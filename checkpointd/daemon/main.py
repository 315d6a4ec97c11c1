"""`checkpointd run`: the process around the service, its signals and its exit code."""

from __future__ import annotations

import asyncio
import gc
import signal
from typing import TYPE_CHECKING, Any

import structlog

from checkpointd import config as configuration
from checkpointd.config.service_place import ServicePlace, publish_place
from checkpointd.daemon.memory import limit_unused_memory, release_unused_memory
from checkpointd.daemon.service import Service, StartError
from checkpointd.observe import logs
from checkpointd.retention.collector import paused_collector

if TYPE_CHECKING:
    from pathlib import Path

    from checkpointd.config import Config

_UNAVAILABLE = 69
_OWN_FAULT = 70

log = structlog.get_logger()


async def serve(path: Path, config: Config) -> int:
    """Run a daemon until SIGTERM or SIGINT; return the exit code."""
    service = Service(path, config)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, service.stopping.set)
    reloads: set[asyncio.Task[dict[str, Any]]] = set()

    def reload() -> None:
        task = asyncio.create_task(service.reload())
        reloads.add(task)
        task.add_done_callback(reloads.discard)

    loop.add_signal_handler(signal.SIGHUP, lambda: None)
    try:
        with paused_collector():
            await service.start()
        _publish_place(path, config)
        loop.add_signal_handler(signal.SIGHUP, reload)
    except StartError as error:
        log.error("cannot start", error=str(error))
        await service.stop()
        return _UNAVAILABLE
    gc.freeze()  # the collector need not go through all that was imported again and again
    release_unused_memory()
    await service.stopping.wait()
    fault = service.fault()
    if fault is not None:
        log.critical(
            "a part of the daemon has ended because of a bug in checkpointd", exc_info=fault
        )
    await service.stop()
    return _OWN_FAULT if fault is not None else 0


def _publish_place(path: Path, config: Config) -> None:
    """Let commands that cannot read the config find this daemon."""
    try:
        publish_place(ServicePlace(path, config.state_dir))
    except OSError as error:
        log.warning(
            "cannot write to the runtime directory: commands find this daemon by its config alone",
            error=error.strerror,
        )


def run(path: Path) -> int:
    """Run the daemon; blocks until it is stopped.

    Args:
        path: the config.

    Returns:
        The exit code.

    Raises:
        ConfigError: the config is wrong.
    """
    limit_unused_memory()
    path = path.absolute()
    config = configuration.load(path)
    logs.configure(config.daemon.log_format, config.daemon.log_level)
    return asyncio.run(serve(path, config))
