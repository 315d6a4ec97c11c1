"""The plan for a watch as it is now: from the ledger's entries and what lies on the disk."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from checkpointd.ledger import State
from checkpointd.retention.files import is_same_content, is_shared
from checkpointd.retention.plan import RetentionPlan, plan
from checkpointd.retention.references import find_references

if TYPE_CHECKING:
    from checkpointd.config import WatchSettings
    from checkpointd.ledger import Entry
    from checkpointd.retention.pruner import Removal


class Known(Protocol):
    """What planning needs of the ledger; `checkpointd.ledger.Ledger` is one."""

    def entries(self, watch: str | None = None) -> list[Entry]:
        """Everything that is known of a watch."""
        ...

    def unconfirmed(self, watch: str) -> bool:
        """Whether the ledger was lost, and not all has been verified again."""
        ...


def plan_watch(known: Known, watch: WatchSettings, now: float, trouble: str = "") -> RetentionPlan:
    """Plan the retention of one watch.

    Args:
        known: the ledger.
        watch: the watch; its root is walked for what is named in it, and its `latest-valid` links
            name what they lead to. What is valid is looked at: what is not as it was verified
            fills no slot (`RetentionPlan.suspects`).
        now: seconds since the epoch.
        trouble: what is wrong with the watch, if anything is; then nothing is removed.
    """
    references = find_references(str(watch.path), str(watch.link_directory or ""))
    entries = known.entries(watch.name)
    return plan(
        entries,
        watch.retention,
        now,
        references.paths,
        changed=frozenset(
            e.path
            for e in entries
            if e.state is State.VALID and not is_same_content(e.path, e.checkpoint, e.generation)
        ),
        shared=frozenset(e.path for e in entries if is_shared(e.path, e.checkpoint, e.generation)),
        listing=" ".join([trouble, *references.errors]).strip(),
        rebuilt=known.unconfirmed(watch.name),
    )


def public_removal(removal: Removal) -> dict[str, Any]:
    """What became of one removal, as an object."""
    return {
        "path": removal.entry.path,
        "done": removal.done,
        "rule": removal.rule,
        "reason": removal.reason,
        "size_bytes": removal.size_bytes,
    }


def public_plan(watch: str, planned: RetentionPlan) -> dict[str, Any]:
    """A plan as an object: what `prune --json` prints and the daemon answers."""
    return {
        "watch": watch,
        "mode": planned.policy.mode,
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
            for decision in planned.decisions
        ],
        "holds": [
            {
                "series": hold.series,
                "reason": hold.reason,
                "message": hold.message,
                "cure": hold.cure,
            }
            for hold in planned.holds
        ],
    }
