"""Compares `prune --apply` with the plan that a person was shown before."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from checkpointd.core.text import ago
from checkpointd.retention.confirmation import exceeds
from checkpointd.retention.holds import OLDER_RUNS

if TYPE_CHECKING:
    from checkpointd.config import WatchSettings
    from checkpointd.retention.planning import RetentionPlan

ON_HOLD = "Nothing was removed, because the watch is on hold."
"""What a person reads of a plan that only the end of its holds lets go on."""

_SHOWN_SECONDS = 3600.0
"""What was shown longer ago than this is forgotten."""


def why_skipped(watch: WatchSettings) -> str:
    """Why `prune --apply` leaves a watch alone because of its mode; empty if it does not."""
    mode, name = watch.retention.mode, watch.name
    if mode == "enforce":
        return ""
    return (
        f"Left alone, because its mode is {mode}; `checkpointd prune --watch {name} --force "
        "--apply` carries its plan out once."
    )


class PlanGrownError(Exception):
    """Much more would be removed than was shown; the message says how much."""


class Preview:
    """The removals of one watch that were shown last."""

    def __init__(self) -> None:
        self._paths: frozenset[str] = frozenset()
        self._at = 0.0

    def note(self, plan: RetentionPlan) -> None:
        """Remember a plan that was shown."""
        shown = (d for d in plan.decisions if not d.keep or d.rule == OLDER_RUNS.reason)
        self._paths, self._at = frozenset(d.entry.path for d in shown), time.time()

    def check(self, watch: str, plan: RetentionPlan) -> None:
        """Compare a plan that is to be carried out with the one that was shown, which ends.

        Raises:
            PlanGrownError: it would remove more that was not shown than may go unseen.
        """
        now = time.time()
        if not 0 <= now - self._at < _SHOWN_SECONDS:
            return
        unseen = sum(d.entry.path not in self._paths for d in plan.removals)
        if exceeds(unseen, len(plan.decisions), plan.policy):
            raise PlanGrownError(
                f"Watch {watch}: {len(plan.removals)} would be removed now, {unseen} of them not "
                f"shown {ago(self._at, now)}: look at `checkpointd prune {watch}` again."
            )
