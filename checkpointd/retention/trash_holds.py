"""Holds about the trash of a watch: why nothing can be moved there, or must not be deleted."""

from __future__ import annotations

import contextlib
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from checkpointd.core.text import size
from checkpointd.retention.holds import Hold
from checkpointd.retention.trash import bytes_of, place_of, why_unusable
from checkpointd.retention.trash_ttl import CURE, TRASH_TTL_LOWERED, TrashTtlLedger, kept_longer
from checkpointd.retention.vault import Vault, copies_to_keep, too_many

if TYPE_CHECKING:
    from checkpointd.config import WatchSettings
    from checkpointd.ledger import PolicyRecords
    from checkpointd.retention.planning import RetentionPlan

TRASH_UNUSABLE = "trash_unusable"
VAULT_LOWERED = "vault_lowered"
_VAULT_CURE = (
    "Confirm with `checkpointd prune {0} --apply`, or set `vault` as it was; nothing else waits "
    "for it."
)
_UNUSABLE_CURE = (
    "Correct `trash_dir` in [watch.retention], or leave it out; then `checkpointd reload`."
)
TRASH_HOLDS = {
    TRASH_UNUSABLE: _UNUSABLE_CURE,
    TRASH_TTL_LOWERED: CURE.format("WATCH"),
    VAULT_LOWERED: _VAULT_CURE.format("WATCH"),
}
"""The cure of each, for the manual."""


class TrashLedger(TrashTtlLedger, Protocol):
    """What is needed of the ledger."""

    def policy_records(self, watch: str) -> PolicyRecords:
        """Which policies were accepted for a watch."""
        ...


def with_trash_holds(
    plan: RetentionPlan, ledger: TrashLedger, watch: WatchSettings, *, by_person: bool = False
) -> RetentionPlan:
    """The plan, with why nothing can be moved to the trash, and what stays there for longer.

    Args:
        plan: of the watch.
        ledger: the ledger.
        watch: the watch.
        by_person: whether a person has it carried out, and sees each removal that fails.
    """
    why = "" if by_person or watch.retention.mode == "off" else why_unusable(place_of(watch))
    if why:
        unusable = Hold(watch.name, "", TRASH_UNUSABLE, f"{why}.", _UNUSABLE_CURE)
        plan = replace(plan, unconfirmed=(unusable, *plan.unconfirmed))
    with contextlib.suppress(OSError):
        kept = (*kept_longer(ledger, watch, time.time()), *_kept_copies(ledger, watch))
        plan = replace(plan, kept_in_trash=kept)
    return plan


def _kept_copies(ledger: TrashLedger, watch: WatchSettings) -> tuple[Hold, ...]:
    """Why copies stay that are more than `vault`."""
    policy = watch.retention
    records = ledger.policy_records(watch.name)
    if policy.vault is None or (count := copies_to_keep(policy, records)) == policy.vault:
        return ()
    copies = too_many(Vault(str(watch.path)).items(), policy.vault)
    if not copies:
        return ()
    message = (
        f"vault was lowered from {count} to {policy.vault}: copies that would be deleted for good "
        f"at once: {len(copies)} ({size(bytes_of(copies))}); they stay."
    )
    return (Hold(watch.name, "", VAULT_LOWERED, message, _VAULT_CURE.format(watch.name)),)
