"""The table of all rules, one row each: the one place where a rule is declared.

Its order is that of the keys in the schema and of the reasons that a plan gives.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from checkpointd.retention_rules.best import KeepBest
from checkpointd.retention_rules.expiry import QuarantineTtl, Ttl
from checkpointd.retention_rules.latest import KeepEvery, KeepLast
from checkpointd.retention_rules.periods import (
    KeepDaily,
    KeepHourly,
    KeepMonthly,
    KeepWeekly,
    KeepYearly,
)
from checkpointd.retention_rules.spec import Effect, RuleSpec
from checkpointd.retention_rules.steps import KeepEveryNSteps, KeepSteps
from checkpointd.retention_rules.tags import KeepTags
from checkpointd.retention_rules.within import (
    KeepWithin,
    KeepWithinDaily,
    KeepWithinHourly,
    KeepWithinMonthly,
    KeepWithinWeekly,
    KeepWithinYearly,
)

if TYPE_CHECKING:
    from checkpointd.retention_rules.spec import Rule

RULES: tuple[RuleSpec, ...] = (
    RuleSpec(KeepLast, "Keep the N newest of each series."),
    RuleSpec(KeepHourly, "Keep the newest of each hour, for the last N hours that have one."),
    RuleSpec(KeepDaily, "Keep the newest of each day, for the last N days that have one."),
    RuleSpec(KeepWeekly, "Keep the newest of each ISO week, for the last N weeks that have one."),
    RuleSpec(KeepMonthly, "Keep the newest of each month, for the last N months that have one."),
    RuleSpec(KeepYearly, "Keep the newest of each year, for the last N years that have one."),
    RuleSpec(KeepWithin, "Keep everything saved within this time before the newest valid one."),
    RuleSpec(KeepWithinHourly, "As `keep_within`, but only the newest of each hour."),
    RuleSpec(KeepWithinDaily, "As `keep_within`, but only the newest of each day."),
    RuleSpec(KeepWithinWeekly, "As `keep_within`, but only the newest of each week."),
    RuleSpec(KeepWithinMonthly, "As `keep_within`, but only the newest of each month."),
    RuleSpec(KeepWithinYearly, "As `keep_within`, but only the newest of each year."),
    RuleSpec(
        KeepEvery, "Keep the oldest, and each at least this much later than the one kept before."
    ),
    RuleSpec(
        KeepEveryNSteps,
        "Keep one in every `n` training steps, in each run; a number means `{ n = NUMBER }`.",
    ),
    RuleSpec(KeepSteps, "Keep these training steps.", outranks_size=True),
    RuleSpec(
        KeepTags,
        'Keep what carries all tags of one of these: `["prod,eval", "paper"]`.',
        outranks_size=True,
        outranks_age=True,
    ),
    RuleSpec(
        KeepBest,
        'Keep the best by a metric: `{ n = 3, metric = "val_loss", mode = "min" }`, or by several.',
        repeatable=True,
        outranks_size=True,
    ),
    RuleSpec(
        Ttl,
        "Remove valid checkpoints older than this, even if another rule keeps them.",
        Effect.EXPIRE,
    ),
    RuleSpec(
        QuarantineTtl,
        "Remove invalid checkpoints older than this; without this key they stay.",
        Effect.REMOVE_INVALID,
    ),
)

UNCLAIMED = "unclaimed"
"""The label of a removal because no rule keeps the valid checkpoint."""


KEEP_RUNS = "keep_runs"
"""The label of a removal because the whole run is older than those that are kept."""

SIZE = "max_total_bytes"
"""The label of a removal because all together are too large."""


def names(effect: Effect) -> tuple[str, ...]:
    """The names of all rules that have an effect."""
    return tuple(spec.name for spec in RULES if spec.effect is effect)


def names_outranking_age() -> frozenset[str]:
    """The names of the rules that keep what has expired, and what is of an old run."""
    return frozenset(spec.name for spec in RULES if spec.outranks_age)


def removal_labels() -> tuple[str, ...]:
    """Every value of the label `rule` of `checkpointd_pruned_total`."""
    return (UNCLAIMED, KEEP_RUNS, SIZE, *names(Effect.EXPIRE), *names(Effect.REMOVE_INVALID))


def rules_of(policy: object, effect: Effect) -> tuple[Rule, ...]:
    """The rules with an effect that a policy sets.

    Args:
        policy: an object with an attribute for each rule, None where the rule is not set, and for
            each key that rules share.
        effect: what the rules do.
    """
    chosen = ((spec, getattr(policy, spec.name)) for spec in RULES if spec.effect is effect)
    return tuple(
        rule for spec, value in chosen if value is not None for rule in spec.make(value, policy)
    )
