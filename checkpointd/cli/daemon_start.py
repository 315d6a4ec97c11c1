"""Starts the daemon in this process, without the parser, which would stay in its memory."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from checkpointd.cli.errors import CONFIG, CliError
from checkpointd.cli.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def start_daemon(config: Path | None) -> int:
    """Run the daemon until it is stopped.

    Args:
        config: the config that was named, if one was.

    Returns:
        The exit code.
    """
    from checkpointd.retention.collector import paused_collector

    with paused_collector():
        from checkpointd.daemon.main import run
    with config_error_if_unreadable():
        return run(Workspace(config).config_path)


@contextlib.contextmanager
def config_error_if_unreadable() -> Iterator[None]:
    """Make an unreadable config a config error: systemd restarts nothing that exits with 78."""
    from checkpointd.config import ConfigDeniedError

    try:
        yield
    except ConfigDeniedError as error:
        raise CliError(error.message, CONFIG, error.cure) from None
