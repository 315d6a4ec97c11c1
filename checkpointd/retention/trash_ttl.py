"""A lowered `trash_ttl`: what was in the trash before stays for the time that applied then.

It would be deleted for good at once otherwise. A person confirms the new one with `prune --apply`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from checkpointd.core.text import exact_duration, size
from checkpointd.ledger import KnownTrash, TrashTtl
from checkpointd.retention.holds import Hold
from checkpointd.retention.trash import Trash, TrashLimits, bytes_of, place_of

if TYPE_CHECKING:
    from checkpointd.config import RetentionSettings, WatchSettings
    from checkpointd.ledger import Ages

TRASH_TTL_LOWERED = "trash_ttl_lowered"
CURE = (
    "Look at `checkpointd trash list {0}`, then confirm with `checkpointd prune {0} --apply`, or "
    "set `trash_ttl` as it was; nothing else waits for it."
)


class TrashTtlLedger(Protocol):
    """What is needed of the ledger."""

    def trash_ttl(self, watch: str) -> TrashTtl | None:
        """For how long items of the trash of a watch stay."""
        ...

    def trashes(self) -> list[KnownTrash]:
        """Every trash that something was moved to."""
        ...

    def largest_bytes(self, watch: str) -> int:
        """The size of the largest valid checkpoint that is in a watch."""
        ...

    def ages(self) -> Ages:
        """How old the times in the ledger are."""
        ...


def updated(before: TrashTtl | None, ttl: float, now: float, confirm: str) -> TrashTtl:
    """For how long items stay once the policy has a `trash_ttl`, which it may have had; pure."""
    if before is None or confirm == "never" or ttl >= max(before.ttl, before.kept_ttl):
        return TrashTtl(ttl)
    if ttl < before.ttl:
        return TrashTtl(ttl, max(before.ttl, before.kept_ttl), now)
    return TrashTtl(ttl, before.kept_ttl, before.kept_until)


def ttl_of(ledger: TrashTtlLedger, watch: WatchSettings, now: float) -> TrashTtl:
    """For how long items of the trash of a watch stay under its present policy."""
    before = ledger.trash_ttl(watch.name)
    if before is None:
        directory = place_of(watch).directory
        known = [one.ttl for one in ledger.trashes() if one.directory == directory]
        before = TrashTtl(known[0]) if known else None
    return updated(before, watch.retention.trash_ttl, now, watch.retention.confirm)


def former_policy(known: KnownTrash, policy: RetentionSettings | None) -> tuple[float, str]:
    """The `trash_ttl` and mode for a trash that no watch has any more.

    Args:
        known: the trash, with what its watch had last.
        policy: that of the watch that has the root now, if there is one.
    """
    if policy is None:
        return known.ttl, known.mode
    is_confirmed = policy.confirm == "never"
    return policy.trash_ttl if is_confirmed else max(policy.trash_ttl, known.ttl), policy.mode


def limits_of(ledger: TrashTtlLedger, watch: WatchSettings, stored: TrashTtl) -> TrashLimits:
    """What decides how long each item stays."""
    return TrashLimits(
        stored.ttl,
        ledger.ages(),
        ledger.largest_bytes(watch.name),
        kept_ttl=stored.kept_ttl,
        kept_until=stored.kept_until,
    )


def kept_longer(ledger: TrashTtlLedger, watch: WatchSettings, now: float) -> tuple[Hold, ...]:
    """Why items stay for longer than `trash_ttl`, if they do.

    Raises:
        OSError: the trash cannot be read.
    """
    stored = ttl_of(ledger, watch, now)
    if not stored.kept_ttl or watch.retention.mode == "off":
        return ()
    limits, place = limits_of(ledger, watch, stored), place_of(watch)
    items = [i for i in Trash(place.root, place).items() if limits.is_kept_longer(i)]
    if not items:
        return ()
    message = (
        f"trash_ttl was lowered from {exact_duration(stored.kept_ttl)} to "
        f"{exact_duration(stored.ttl)}: {len(items)} in the trash ({size(bytes_of(items))}) would "
        f"be deleted for good at once; they stay for the {exact_duration(stored.kept_ttl)}."
    )
    return (Hold(watch.name, "", TRASH_TTL_LOWERED, message, CURE.format(watch.name)),)
