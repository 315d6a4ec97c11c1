"""What was removed from buckets, as items of `trash list` and `restore`.

It is in the versions of the bucket; only the ledger knows which they are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from checkpointd.cli.errors import CliError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from checkpointd.cli.trash_holdings import Holding
    from checkpointd.cli.workspace import Workspace
    from checkpointd.ledger import BucketRemoval, Ledger
    from checkpointd.retention import TrashItem


def removed_from_buckets(
    workspace: Workspace, watch: str | None, configured: Collection[str]
) -> Iterator[tuple[BucketRemoval, Holding, float]]:
    """Every removal that can be undone, or those of one watch; with how many seconds ago it was.

    Args:
        workspace: where the ledger is.
        watch: the name of a watch; None for all.
        configured: the names of the watches in the config.
    """
    from checkpointd.cli.trash_holdings import Holding
    from checkpointd.core.urls import parse_url
    from checkpointd.ledger import LedgerError
    from checkpointd.retention.trash import TrashPlace

    try:
        ledger = workspace.ledger(workspace.remains().state_dir)
    except CliError:
        return
    try:
        ages, removals = ledger.ages(), ledger.bucket_removals(watch)
    except LedgerError:
        return
    finally:
        ledger.close()
    for removal in removals:
        if removal.is_expired:
            continue
        root = parse_url(removal.path).root
        seconds = removal.undo_seconds
        holding = Holding(
            removal.watch,
            TrashPlace(root, root),
            seconds or 0.0,
            "unknown" if seconds is None else "enforce",
            is_former=removal.watch not in configured,
        )
        yield removal, holding, ages.age(removal.at)


def item_of(removal: BucketRemoval) -> TrashItem:
    """A removal as an item of a trash."""
    from checkpointd.core.checkpoint import Generation
    from checkpointd.core.urls import parse_url
    from checkpointd.ledger import RemovalStage
    from checkpointd.retention import TrashItem
    from checkpointd.retention.trash.manifest import Manifest, Stage

    manifest = Manifest(
        path=parse_url(removal.path).key,
        watch=removal.watch,
        series=removal.series,
        format=removal.format,
        entry=0,
        generation=Generation(()),
        size_bytes=removal.size_bytes,
        at=removal.at,
        rule=removal.rule,
        reason=removal.reason,
        parts=(),
    )
    stage = Stage.DONE if removal.stage is RemovalStage.DONE else Stage.MOVING
    return TrashItem(removal.item, removal.path, stage, manifest)


def restore_in_bucket(ledger: Ledger, removal: BucketRemoval) -> None:
    """Undo a removal, while no daemon is running.

    Raises:
        TrashError: it cannot be undone.
        OSError: the store refuses or does not answer.
        LedgerError: the ledger could not be read or written.
    """
    from checkpointd.core.urls import parse_url
    from checkpointd.retention.buckets import BucketPruner, BucketView

    view = BucketView(parse_url(removal.path).root)
    pruner = BucketPruner(removal.watch, view, ledger)
    pruner.recover()
    if any(one.item == removal.item for one in ledger.bucket_removals(removal.watch)):
        pruner.restore(removal.item)
