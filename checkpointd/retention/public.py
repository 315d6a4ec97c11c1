"""Plans and removals as the objects that `prune --json` prints and the daemon answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from checkpointd.retention.summary import summarize

if TYPE_CHECKING:
    from checkpointd.retention.planning import RetentionPlan
    from checkpointd.retention.removal import Removal


def public_removal(removal: Removal) -> dict[str, Any]:
    """The outcome of one removal."""
    return {
        "path": removal.entry.path,
        "done": removal.done,
        "failed": removal.failed,
        "rule": removal.rule,
        "reason": removal.reason,
        "size_bytes": removal.size_bytes,
    }


def public_plan(watch: str, plan: RetentionPlan) -> dict[str, Any]:
    """The plan of one watch."""
    return {
        "watch": watch,
        "mode": plan.policy.mode,
        "summary": summarize(plan).to_public(),
        "decisions": [
            {
                "path": decision.entry.path,
                "series": decision.entry.checkpoint.series,
                "step": decision.entry.step,
                "size_bytes": decision.entry.generation.size_bytes,
                "keep": decision.keep,
                "rule": decision.rule,
                "reasons": list(decision.reasons),
            }
            for decision in plan.decisions
        ],
        "holds": [
            {
                "series": hold.series,
                "reason": hold.reason,
                "message": hold.message,
                "cure": hold.cure,
            }
            for hold in (*plan.holds, *plan.unconfirmed, *plan.kept_in_trash)
        ],
        "unmet": plan.unmet,
        "notes": list(plan.notes),
    }
