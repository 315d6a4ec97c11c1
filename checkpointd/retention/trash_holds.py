"""What a person should know of the trash of a watch before anything is moved there or deleted."""

from __future__ import annotations

import contextlib
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from checkpointd.retention.holds import Hold
from checkpointd.retention.trash import place_of, why_unusable
from checkpointd.retention.trash_ttl import CURE, TRASH_TTL_LOWERED, kept_longer

if TYPE_CHECKING:
    from checkpointd.config import WatchSettings
    from checkpointd.retention.plan import RetentionPlan
    from checkpointd.retention.trash_ttl import TrashTtlLedger

TRASH_UNUSABLE = "trash_unusable"
_UNUSABLE_CURE = (
    "Correct `trash_dir` in [watch.retention], or leave it out; then `checkpointd reload`."
)
TRASH_HOLDS = {TRASH_UNUSABLE: _UNUSABLE_CURE, TRASH_TTL_LOWERED: CURE.format("WATCH")}
"""The cure of each, for the manual."""


def with_trash_holds(
    plan: RetentionPlan, ledger: TrashTtlLedger, watch: WatchSettings, *, by_person: bool = False
) -> RetentionPlan:
    """The plan, with why nothing can be moved to the trash, and what stays there for longer.

    Args:
        plan: of the watch.
        ledger: the ledger.
        watch: the watch.
        by_person: whether a person has it carried out, and is told of each removal that fails.
    """
    why = "" if by_person or watch.retention.mode == "off" else why_unusable(place_of(watch))
    if why:
        unusable = Hold(watch.name, "", TRASH_UNUSABLE, f"{why}.", _UNUSABLE_CURE)
        plan = replace(plan, unconfirmed=(unusable, *plan.unconfirmed))
    with contextlib.suppress(OSError):
        plan = replace(plan, kept_in_trash=kept_longer(ledger, watch, time.time()))
    return plan
