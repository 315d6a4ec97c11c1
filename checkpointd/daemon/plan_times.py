"""When a watch is planned again although nothing has changed, and how often at the most; pure."""

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
    """How long nothing is done after a plan that took so long."""
    return min(max(_PAUSE_SECONDS, _PAUSE_SHARE * plan_seconds), ROUND_SECONDS)


def seconds_until_next_plan(planned: RetentionPlan, plan_seconds: float) -> float:
    """After how many seconds of one plan the next one is due: sooner where some are too young."""
    pause = max(_PLAN_SECONDS, _PLAN_SHARE * plan_seconds)
    if any(decision.rule == "min_age" for decision in planned.decisions):
        pause = min(pause, planned.policy.min_age)
    return min(pause, _PLAN_SECONDS_MOST)
