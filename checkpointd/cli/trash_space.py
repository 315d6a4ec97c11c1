"""What `prune` says about the space that the next saves need."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from checkpointd.cli.errors import CliError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from checkpointd.cli.workspace import Workspace


def add_space(workspace: Workspace, outcomes: Iterable[dict[str, Any]]) -> None:
    """Add a sentence to the outcome of each watch whose trash would be emptied early."""
    from checkpointd.config import ConfigError
    from checkpointd.ledger import LedgerError
    from checkpointd.retention import Trash
    from checkpointd.retention.trash import TrashLimits, disk_of, forecast, place_of

    try:
        by_name = {watch.name: watch for watch in workspace.config().watch}
        ledger = workspace.ledger()
    except (CliError, ConfigError):
        return
    try:
        for outcome in outcomes:
            watch = by_name.get(str(outcome.get("watch")))
            if watch is None or watch.bucket:
                continue
            policy, place = watch.retention, place_of(watch)
            largest = ledger.largest_bytes(watch.name)
            limits = TrashLimits(policy.trash_ttl, ledger.ages(), largest)
            try:
                items, disk = Trash(place.root, place).items(), disk_of(place.root)
            except OSError:
                continue
            ahead = forecast(items, disk, limits, is_off=policy.mode == "off")
            if ahead is not None and ahead.text:
                outcome["space"] = f"{ahead.text[0].upper()}{ahead.text[1:]}."
    except LedgerError:
        pass
    finally:
        ledger.close()
