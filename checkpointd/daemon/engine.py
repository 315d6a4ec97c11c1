"""The dispatcher that the config selects, and how many verifications it is given at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from checkpointd.dispatch.local import LocalDispatcher

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from checkpointd.config import Config
    from checkpointd.dispatch import Dispatcher
    from checkpointd.observe.metrics import Metrics

_MOST_IN_FLEET = 64
"""Verifications that one daemon has done by a fleet at a time, at most."""


def is_fleet(config: Config) -> bool:
    """Whether other hosts verify."""
    return config.dispatch.engine == "dask"


def make_dispatcher(
    config: Config, scratch: Path, metrics: Metrics, on_change: Callable[[], None]
) -> Dispatcher:
    """Make the dispatcher.

    Args:
        config: its [dispatch] and [worker].
        scratch: a directory for it alone.
        metrics: counts children and workers that end.
        on_change: called when another number of verifications may go on.
    """
    if not is_fleet(config):
        return LocalDispatcher(config.worker, scratch, metrics.worker_exit)
    from checkpointd.dispatch.fleet.dispatcher import FleetDispatcher  # takes memory and time

    return FleetDispatcher(
        config.dispatch, config.worker, scratch, on_change, lambda: metrics.worker_exit("lost")
    )


def local_of(dispatcher: Dispatcher, config: Config, scratch: Path) -> LocalDispatcher:
    """Return what reads files on this host: the dispatcher, or one of its own beside a fleet."""
    if isinstance(dispatcher, LocalDispatcher):
        return dispatcher
    return LocalDispatcher(config.worker, scratch / "local")


def most_at_a_time(config: Config) -> int:
    """Return the number of verification tasks to start."""
    return _MOST_IN_FLEET if is_fleet(config) else config.worker.concurrency


def longest(config: Config) -> float:
    """Return the seconds after which a verification should have been ended.

    One that waits for a fleet may wait for as long as its scheduler is down.
    """
    return float("inf") if is_fleet(config) else config.worker.timeout
