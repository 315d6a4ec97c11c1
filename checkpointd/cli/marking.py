"""Pins and tags: changed by the daemon, or in the ledger while none runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from checkpointd.cli.workspace import writing

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from checkpointd.ledger import Ledger


def mark(
    state_dir: Path, action: str, path: str, write: Callable[[Ledger], None], **body: object
) -> None:
    """Have the daemon change the marks of a checkpoint.

    Args:
        state_dir: of the daemon.
        action: of its control API.
        path: of the checkpoint, as its watch has it.
        write: makes the same change in the ledger, where no daemon runs.
        body: the rest of the request.

    Raises:
        CliError: the daemon refuses, or the ledger cannot be written.
    """
    from checkpointd.cli.client import Client, NoDaemonError

    try:
        Client(state_dir).post(action, path=path, **body)
    except NoDaemonError as error:
        with writing(state_dir, error) as ledger:
            write(ledger)
