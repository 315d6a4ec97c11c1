"""The schema of `[watch.retention]`."""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from checkpointd.config.section import Section
from checkpointd.config.types import Checkpoints, Days, Duration, Hours, ShownName, Steps, Text


class KeepBest(Section):
    """`keep_best`: the `n` best by a metric; NaN and missing values are never best."""

    n: Checkpoints
    """How many to keep."""

    metric: Text
    """The metric: from the file name, the golden record or `evaluate`."""

    mode: Literal["min", "max"]
    """Whether smaller (`min`) or larger (`max`) values are better."""


class RetentionSettings(Section):
    """`[watch.retention]`: what is kept; rules are combined by OR."""

    mode: Literal["off", "dry-run", "enforce"] = "dry-run"
    """`off` makes no plan, `dry-run` reports what it would remove, `enforce` removes it."""

    require: tuple[ShownName, ...] = ("intact",)
    """What a checkpoint must have shown to fill a slot of a rule."""

    keep_last: Checkpoints | None = None
    """Keep the newest so many of each series."""

    keep_hourly: Hours | None = None
    """Keep the newest of each of the last so many hours that have one."""

    keep_daily: Days | None = None
    """Keep the newest of each of the last so many days that have one."""

    keep_within: Duration | None = None
    """Keep everything that is younger than this."""

    keep_every_n_steps: Steps | None = None
    """Keep one checkpoint for each so many training steps."""

    keep_best: KeepBest | None = None
    """Keep the best by a metric: `{ n = 3, metric = "val_loss", mode = "min" }`."""

    keep_min_valid: Checkpoints = 2
    """Never leave fewer valid checkpoints of a series than this."""

    trash_ttl: Duration = 72 * 3600.0
    """How long `checkpointd restore` can bring back what was pruned."""

    quarantine_ttl: Duration | None = None
    """Invalid checkpoints older than this may be pruned too; without it they never are."""

    @property
    def has_rules(self) -> bool:
        """Whether any rule keeps anything; without one nothing is ever pruned."""
        return any(
            rule is not None
            for rule in (
                self.keep_last,
                self.keep_hourly,
                self.keep_daily,
                self.keep_within,
                self.keep_every_n_steps,
                self.keep_best,
            )
        )

    @model_validator(mode="after")
    def _has_something_to_enforce(self) -> RetentionSettings:
        if self.mode == "enforce" and not self.has_rules:
            raise ValueError('mode = "enforce" needs at least one keep_ rule')
        return self
