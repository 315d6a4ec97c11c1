"""When a watch is planned again without any change, and how often at most; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from checkpointd.retention import RetentionPlan

ROUND_SECONDS = 60.0
"""A round looks after the trash even where nothing is planned."""

_PAUSE_SECONDS = 0.5
_PAUSE_SHARE = 20.0
_PLAN_SECONDS = 600.0
_PLAN_SHARE = 1000.0
_PLAN_SECONDS_MOST = 3600.0


def calm_seconds(plan_seconds: float) -> float:
    """Seconds to pause after a plan that took `plan_seconds`."""
    return min(max(_PAUSE_SECONDS, _PAUSE_SHARE * plan_seconds), ROUND_SECONDS)


def seconds_until_next_plan(planned: RetentionPlan, plan_seconds: float) -> float:
    """Seconds from one plan to the next: fewer where `min_age` of some checkpoint ends sooner."""
    pause = max(_PLAN_SECONDS, _PLAN_SHARE * plan_seconds)
    if any(decision.rule == "min_age" for decision in planned.decisions):
        pause = min(pause, planned.policy.min_age)
    return min(pause, _PLAN_SECONDS_MOST)
