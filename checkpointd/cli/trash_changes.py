"""Restoring and emptying: by the daemon if one is running, else under the ledger's lock."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, Any

from checkpointd.cli.bucket_items import restore_in_bucket
from checkpointd.cli.client import Client, NoDaemonError
from checkpointd.cli.errors import UNREACHABLE, CliError
from checkpointd.cli.workspace import Workspace, writing
from checkpointd.core.text import printable
from checkpointd.ledger import LedgerError
from checkpointd.retention import Pruner, TrashError
from checkpointd.retention.root import RootKeeper
from checkpointd.retention.vault import Vault, restore_copy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from checkpointd.cli.trash_holdings import Holding
    from checkpointd.cli.trash_items import ListedItem
    from checkpointd.ledger import Ledger

_SEVERE = frozenset({UNREACHABLE})


def restore(workspace: Workspace, chosen: Sequence[ListedItem], *, json: bool) -> int:
    """Restore items, and print what came of each.

    Returns:
        How many could not be restored.

    Raises:
        CliError: neither a daemon nor the ledger can be used.
    """
    from checkpointd.cli.output import json_line

    refused = 0
    with contextlib.ExitStack() as stack:
        state_dir = workspace.state_dir()
        client, ledger = Client(state_dir), None
        for listed in chosen:
            path, pinned = listed.item.path, True
            try:
                try:
                    if ledger is None:
                        answer = client.post("restore", path=listed.name)
                        pinned = bool(answer.get("pinned", True))
                    else:
                        pinned = _restore_here(ledger, listed)
                except NoDaemonError as error:
                    ledger = stack.enter_context(writing(state_dir, error))
                    pinned = _restore_here(ledger, listed)
            except (TrashError, CliError) as error:
                if isinstance(error, CliError) and error.code in _SEVERE:
                    raise
                refused += 1
                if json:
                    json_line({"path": path, "restored": False, "message": str(error)})
                print(f"not restored  {printable(path)}: {printable(str(error))}", file=sys.stderr)
                continue
            if json:
                json_line({"path": path, "restored": True, "pinned": pinned})
            else:
                print(f"{'restored and pinned' if pinned else 'restored'}  {printable(path)}")
    return refused


def _restore_here(ledger: Ledger, listed: ListedItem) -> bool:
    """Restore an item; returns whether it came from the trash, and was pinned."""
    try:
        if listed.removal is not None:
            restore_in_bucket(ledger, listed.removal)
            return True
        return _restore_on_disk(ledger, listed)
    except LedgerError as error:
        raise TrashError(f"{listed.item.path} cannot be restored: {error}") from None
    except OSError as error:
        raise TrashError(f"{listed.item.path} cannot be restored: {error.strerror}.") from None


def _restore_on_disk(ledger: Ledger, listed: ListedItem) -> bool:
    place = listed.holding.place
    pruner = Pruner(place.root, ledger, place)
    vault = Vault(place.root)
    with RootKeeper(listed.holding.watch, place, ledger).locked() as holder:
        if holder:
            raise TrashError(f"{listed.item.path} cannot be restored now. {holder}")
        pruner.recover()
        vault.recover()
        if listed.is_copy:
            restore_copy(vault, pruner.trash, ledger, listed.name)
        else:
            pruner.restore(listed.name)
    return not listed.is_copy


def empty(workspace: Workspace, chosen: Sequence[ListedItem]) -> list[str]:
    """Delete items for good.

    Returns:
        A sentence for each cause that something could not be deleted.

    Raises:
        CliError: neither a daemon nor the ledger can be used.
    """
    ids = [listed.item.id for listed in chosen]
    state_dir = workspace.state_dir()
    try:
        answer: dict[str, Any] = Client(state_dir).post("empty_trash", items=ids)
    except NoDaemonError as error:
        errors = list[str]()
        with writing(state_dir, error) as ledger:
            for holding in dict.fromkeys(listed.holding for listed in chosen):
                errors += _empty_here(ledger, holding, frozenset(ids))
        return errors
    return [str(message) for message in answer.get("errors", ())]


def _empty_here(ledger: Ledger, holding: Holding, ids: frozenset[str]) -> tuple[str, ...]:
    place = holding.place
    with RootKeeper(holding.watch, place, ledger).locked() as holder:
        if holder:
            return (holder,)
        pruned = Pruner(place.root, ledger, place).empty(ids)
        return (*pruned.errors, *Vault(place.root).empty(ids).errors)
