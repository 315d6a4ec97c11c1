"""Blocks until every checkpoint of every watch has a verdict, as `wait --all` does."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from checkpointd.cli.errors import NOTHING, CliError, NoStateError

if TYPE_CHECKING:
    from checkpointd.cli.workspace import Workspace
    from checkpointd.config import WatchSettings

_POLL_SECONDS = 0.2
_DAEMON_SECONDS = 5.0
_NAMED = 3


def wait_for_all(workspace: Workspace, limit: float) -> None:
    """Block until all that is on disk now has a verdict on its present content.

    Args:
        workspace: its config names the watches.
        limit: how long, in seconds.

    Raises:
        CliError: some have none in time, or no daemon is running to give one.
        checkpointd.config.ConfigError: the config is wrong, or not there.
    """
    from checkpointd.cli.client import Client, NoDaemonError

    waiting = [path for watch in workspace.config().watch for path in _checkpoints(watch)]
    started = time.monotonic()
    client = Client(workspace.locations().state_dir)
    while waiting := _without_verdict(workspace, waiting):
        passed = time.monotonic() - started
        if passed >= limit:
            raise CliError(_no_verdict(waiting, f" after {limit:g} s"), NOTHING)
        if passed >= min(_DAEMON_SECONDS, limit / 2) and not client.is_up():
            raise NoDaemonError(
                f"{_no_verdict(waiting)}, and no daemon is running to verify what is left"
            )
        time.sleep(_POLL_SECONDS)


def _checkpoints(watch: WatchSettings) -> list[str]:
    from checkpointd.watch.globs import select
    from checkpointd.watch.scan import walk

    root = str(watch.path)
    listings = walk(root, root, select(watch.include, watch.exclude))
    return [candidate.path for listing in listings for candidate in listing.candidates]


def _without_verdict(workspace: Workspace, paths: list[str]) -> list[str]:
    """Those of the paths that exist, and whose present content has no verdict."""
    from checkpointd.formats import locate
    from checkpointd.retention.newest_valid import has_current_verdict

    try:
        ledger = workspace.ledger()
    except NoStateError:
        return paths
    try:
        left = [path for path in paths if not has_current_verdict(ledger.entry(path))]
    finally:
        ledger.close()
    return [path for path in left if locate(path) is not None]


def _no_verdict(paths: list[str], when: str = "") -> str:
    named = ", ".join(map(os.path.abspath, paths[:_NAMED]))
    more = f" and {len(paths) - _NAMED} more" if len(paths) > _NAMED else ""
    return f"{len(paths)} of the checkpoints have no verdict{when}: {named}{more}"
