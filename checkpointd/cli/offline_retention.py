"""Retention without the daemon: pruning under the lock of the state directory."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from checkpointd.cli.errors import INVALID, USAGE, CliError

if TYPE_CHECKING:
    from checkpointd.config import Config, WatchSettings
    from checkpointd.ledger import Ledger


def chosen(config: Config, watch: str | None) -> tuple[WatchSettings, ...]:
    """Return one watch by its name, or all.

    Raises:
        CliError: there is no such watch.
    """
    if watch is None:
        return config.watch
    named = tuple(w for w in config.watch if w.name == watch)
    if not named:
        names = ", ".join(w.name for w in config.watch) or "none"
        raise CliError(f"There is no watch {watch!r}; choose from {names}.", USAGE)
    return named


def plan_here(ledger: Ledger, watch: WatchSettings) -> dict[str, Any]:
    """The plan of a watch as an object; while no daemon is running."""
    from checkpointd.retention.confirmation import confirm_plan
    from checkpointd.retention.public import public_plan
    from checkpointd.retention.trash_holds import with_trash_holds
    from checkpointd.retention.watch_plan import plan_watch

    if watch.bucket:
        from checkpointd.cli.offline_buckets import plan_of_bucket

        return public_plan(watch.name, plan_of_bucket(ledger, watch))
    planned = confirm_plan(ledger, watch, plan_watch(ledger, watch, time.time()))
    return public_plan(watch.name, with_trash_holds(planned, ledger, watch))


def apply_here(
    ledger: Ledger, watches: tuple[WatchSettings, ...], *, force: bool
) -> list[dict[str, Any]]:
    """Carry out the retention of each watch, under the ledger's lock; while no daemon is running.

    Args:
        ledger: the ledger.
        watches: the watches; only those that are enforced, or all with `force`.
        force: whatever their mode is.

    Returns:
        For each watch its plan as an object, with `removals`.
    """
    from checkpointd.ledger import TrashTtl
    from checkpointd.retention import Pruner
    from checkpointd.retention.confirmation import confirmed
    from checkpointd.retention.policy import is_changed, note_enforced
    from checkpointd.retention.preview import why_skipped
    from checkpointd.retention.public import public_plan, public_removal
    from checkpointd.retention.root import RootKeeper
    from checkpointd.retention.trash import known_trash, place_of
    from checkpointd.retention.watch_plan import plan_watch

    outcomes = []
    for watch in watches:
        skipped = "" if force else why_skipped(watch)
        if skipped:
            outcomes.append({**plan_here(ledger, watch), "skipped": skipped})
            continue
        if watch.bucket:
            from checkpointd.cli.offline_buckets import apply_in_bucket

            outcomes.append(apply_in_bucket(ledger, watch))
            continue
        pruner = Pruner(str(watch.path), ledger, place_of(watch))
        keeper = RootKeeper(watch.name, place_of(watch), ledger)
        with keeper.locked(enforce=True) as holder:
            try:
                if not holder:
                    pruner.recover()
            except OSError as error:
                message = f"{watch.path} cannot be pruned: {error.strerror}."
                outcomes.append(
                    {
                        "watch": watch.name,
                        "mode": watch.retention.mode,
                        "message": message,
                        "failed": True,
                    }
                )
                continue
            doubts = keeper.synchronize(holder, enforce=True)
            planned = plan_watch(ledger, watch, time.time(), root=doubts, by_person=True)
            below = keeper.doubts_below(d.entry.path for d in planned.removals)
            if below is not None:
                planned = plan_watch(ledger, watch, time.time(), root=below, by_person=True)
            if not holder:
                ledger.record_trash_ttl(watch.name, TrashTtl(watch.retention.trash_ttl))
                before = ledger.policy_records(watch.name)
                ledger.record_policies(watch.name, confirmed(watch, planned, time.time(), before))
            outcome = public_plan(watch.name, planned)
            if planned.removals:
                ledger.record_trash(known_trash(watch))
            removals = pruner.apply(planned, policy_changed=is_changed(ledger, watch))
            note_enforced(ledger, watch, removals)
            outcome["removals"] = [public_removal(removal) for removal in removals]
        outcomes.append(outcome)
    return outcomes


def accept_here(ledger: Ledger, watches: tuple[WatchSettings, ...]) -> None:
    """Accept the ledger as it is now, so that pruning continues; while no daemon is running.

    Raises:
        CliError: a root cannot be read.
    """
    from checkpointd.retention.buckets import BucketKeeper, BucketView
    from checkpointd.retention.root import RootKeeper
    from checkpointd.retention.trash import place_of

    for watch in watches:
        try:
            if watch.bucket:
                BucketKeeper(watch.name, BucketView(watch.bucket), ledger).accept()
            else:
                RootKeeper(watch.name, place_of(watch), ledger).accept()
        except OSError as error:
            raise CliError(f"{watch.path} cannot be read: {error.strerror}.", INVALID) from None
