"""Where the copies of checkpoints in buckets are, as the ledger knows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from checkpointd.cli.errors import CliError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from checkpointd.cli.workspace import Workspace


def copy_urls(workspace: Workspace, watch: str | None) -> dict[str, str]:
    """The URL of the copy of each path whose present content is copied."""
    ledger = workspace.ledger()
    try:
        return ledger.copy_urls(watch)
    finally:
        ledger.close()


def copies_of(workspace: Workspace, paths: Iterable[str]) -> list[str]:
    """The URLs of the last copies of paths; none where there is no ledger."""
    from checkpointd.ledger import LedgerError

    try:
        ledger = workspace.ledger()
    except CliError:
        return []
    try:
        replicas = [ledger.replica(path) for path in paths]
    except LedgerError:
        return []
    finally:
        ledger.close()
    return [replica.url for replica in replicas if replica is not None]
