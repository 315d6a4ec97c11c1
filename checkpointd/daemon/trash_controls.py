"""Restoring and emptying by hand, in the trash of the watches that run and of former ones."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import structlog

from checkpointd.core.urls import is_url
from checkpointd.ledger import BucketRemoval, LedgerError
from checkpointd.observe.sources import ControlError
from checkpointd.retention.trash import NotInTrashError, TrashError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from checkpointd.daemon.bucket_retention import BucketRetention
    from checkpointd.daemon.former_trashes import FormerTrashes
    from checkpointd.daemon.watch_retention import WatchRetention
    from checkpointd.retention import TrashItem

_NOT_FOUND = 404
_CONFLICT = 409
_UNAVAILABLE = 503

log = structlog.get_logger()


async def restore(
    running: Sequence[WatchRetention | BucketRetention], former: FormerTrashes, path: str
) -> dict[str, Any]:
    """Take a checkpoint out of whichever trash holds it, by its path or the id of its item.

    Raises:
        ControlError: it is in no trash, or another file has taken its path.
    """
    try:
        for watch in running:
            is_path = path.startswith("/") or is_url(path)
            if is_path and not path.startswith(f"{watch.root.rstrip('/')}/"):
                continue
            with contextlib.suppress(NotInTrashError):
                item, pinned = await watch.restore(path)
                return _restored(item, watch.name, pinned=pinned)
        found = await former.restore(path) or await former.restore_in_bucket(path)
    except TrashError as error:
        raise ControlError(str(error), _CONFLICT) from None
    except (OSError, LedgerError) as error:
        raise ControlError(f"{path} cannot be restored: {error}", _UNAVAILABLE) from None
    if found is None:
        message = f"{path} is in no trash; `checkpointd trash list` names what is."
        raise ControlError(message, _NOT_FOUND)
    return _restored(found, "", pinned=True)


async def empty(
    running: Sequence[WatchRetention | BucketRetention], former: FormerTrashes, ids: frozenset[str]
) -> dict[str, Any]:
    """Delete items for good from whichever trash holds them.

    Raises:
        ControlError: the disk or the ledger cannot be read.
    """
    try:
        results = [await watch.empty(ids) for watch in running]
        results += await former.empty(ids)
    except (OSError, LedgerError) as error:
        raise ControlError(str(error), _UNAVAILABLE) from None
    deleted = [item for result in results for item in result.deleted]
    for item in deleted:
        watch = item.item.manifest.watch
        log.info("deleted from the trash", watch=watch, path=item.path, reason=item.reason)
    errors = [error for result in results for error in result.errors]
    return {"deleted": [item.path for item in deleted], "errors": errors}


def _restored(item: TrashItem | BucketRemoval, watch: str, *, pinned: bool) -> dict[str, Any]:
    log.info("restored", watch=watch or _watch_of(item), path=item.path)
    return {"path": item.path, "watch": watch, "pinned": pinned}


def _watch_of(item: TrashItem | BucketRemoval) -> str:
    return item.watch if isinstance(item, BucketRemoval) else item.manifest.watch
