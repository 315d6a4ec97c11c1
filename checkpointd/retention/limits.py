"""What is removed or kept because of space, after all rules: `max_total_bytes` and `prune_defer`.

Pure. In order of precedence: a hold, a pin, a reference, the newest, a doubt, `keep_min_valid`, and
a rule that names checkpoints one by one (`outranks_size` in its row) keep a checkpoint whatever the
size of all. The rules by count and time yield, the oldest first.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from checkpointd.core.text import size
from checkpointd.ledger import State
from checkpointd.retention_rules import Effect
from checkpointd.retention_rules.table import RULES, SIZE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from checkpointd.config import RetentionSettings
    from checkpointd.retention.decision import Decision

DEFERRED = "prune_defer"
NO_RULE = "no_rule"
_YIELDING = frozenset(
    {NO_RULE, *(s.name for s in RULES if s.effect is Effect.KEEP and not s.outranks_size)}
)


@dataclass(frozen=True)
class FileSystem:
    """How full a file system is, in bytes; `trash` is what the watch's trash on it occupies."""

    used: int
    free: int
    trash: int = 0

    @property
    def without_trash(self) -> int:
        """What is used when the trash has expired."""
        return max(0, self.used - self.trash)

    @property
    def share(self) -> float:
        """The share that is used, without the trash."""
        return self.without_trash / max(1, self.used + self.free)


def yields(labels: Iterable[str]) -> bool:
    """Whether all that keeps a checkpoint, by labels, yields to `max_total_bytes`."""
    return _YIELDING.issuperset(labels)


def within_size(
    decisions: Sequence[Decision],
    policy: RetentionSettings,
    counted: frozenset[int],
    *,
    on_hold: bool,
) -> tuple[list[Decision], str]:
    """Remove the oldest that yield until the valid checkpoints fit into `max_total_bytes`.

    Args:
        decisions: what the rules decided, about all series of a watch.
        policy: of the watch.
        counted: the ids of those that may fill a slot: only they count here, and for
            `keep_min_valid`. What is not valid displaces nothing.
        on_hold: whether a series is on hold: then others would have to pay for it.

    Returns:
        The decisions, and why the limit cannot be met; empty if it is.
    """
    limit = policy.max_total_bytes
    if limit is None:
        return list(decisions), ""
    total = held = _bytes(d for d in decisions if d.keep and d.entry.id in counted)
    left = Counter(_run(d) for d in decisions if d.keep and d.entry.id in counted)
    leaving: set[int] = set()
    for one in [] if on_hold else _oldest_first(d for d in decisions if d.keep and d.yields):
        if total <= limit:
            break
        if left[_run(one)] > policy.keep_min_valid:
            left[_run(one)] -= 1
            leaving.add(one.entry.id)
            total -= one.entry.generation.size_bytes
    reason = (
        f"all together are {size(held)}, more than {SIZE} = {size(limit)}, and this is the oldest "
        "that may go"
    )
    changed = [
        d._replace(keep=False, reasons=(reason,), rule=SIZE) if d.entry.id in leaving else d
        for d in decisions
    ]
    return changed, _unmet([d for d in changed if d.keep], limit, counted, on_hold=on_hold)


def deferred(
    decisions: Sequence[Decision], policy: RetentionSettings, filesystem: FileSystem | None
) -> list[Decision]:
    """Keep what need not go yet: only so much goes that the file system is below `prune_defer`.

    Args:
        decisions: what is to go otherwise.
        policy: of the watch.
        filesystem: how full the file system is; None if that is not known.
    """
    share = policy.prune_defer
    if share is None:
        return list(decisions)
    needed = 0.0
    why = f"how full the file system is cannot be found out ({DEFERRED} = {share:.0%})"
    if filesystem is not None:
        needed = filesystem.without_trash - share * (filesystem.used + filesystem.free)
        why = (
            f"without the trash, and what goes before it, the file system is not fuller than "
            f"{DEFERRED} = {share:.0%}"
        )
    going: set[int] = set()
    for one in _oldest_first(d for d in decisions if not d.keep):
        if needed <= 0:
            break
        going.add(one.entry.id)
        needed -= one.entry.generation.size_bytes
    return [
        d if d.keep or d.entry.id in going else d._replace(keep=True, reasons=(why,), rule=DEFERRED)
        for d in decisions
    ]


def _oldest_first(decisions: Iterable[Decision]) -> list[Decision]:
    """Invalid ones first, then by when they were first seen; those found together by age."""

    def place(decision: Decision) -> tuple[bool, int, float, int]:
        entry = decision.entry
        return entry.state is State.VALID, entry.sequence, entry.saved_at, entry.id

    return sorted(decisions, key=place)


def _run(decision: Decision) -> tuple[str, str, int]:
    return decision.entry.checkpoint.watch, decision.entry.checkpoint.series, decision.run


def _bytes(decisions: Iterable[Decision]) -> int:
    return sum(d.entry.generation.size_bytes for d in decisions)


def _unmet(
    staying: Sequence[Decision], limit: int, counted: frozenset[int], *, on_hold: bool
) -> str:
    """Why what stays is larger than the limit; empty if it is not."""
    total = _bytes(staying)
    if total <= limit:
        return ""
    message = f"{SIZE} = {size(limit)} is not met: {size(total)} stay. "
    if on_hold:
        return message + "Nothing goes for it while a series of the watch is on hold: see there."
    others = _bytes(d for d in staying if d.entry.id not in counted)
    if total - others <= limit:
        return message + (
            f"{size(others)} of it have no valid verdict, and no valid checkpoint goes for them: "
            "find them with `checkpointd list`, or set quarantine_ttl."
        )
    labels = Counter("keep_min_valid" if d.yields else d.rule for d in staying)
    causes = ", ".join(f"{count} by {label}" for label, count in labels.most_common())
    return message + (
        f"These must stay: {causes}. Raise the limit, or loosen what keeps them; "
        "`checkpointd prune` shows the reason for each."
    )
