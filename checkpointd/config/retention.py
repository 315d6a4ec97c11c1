"""The schema of `[watch.retention]`: one key for each rule of the table, and the rest."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, Field, create_model, model_validator

from checkpointd.config.locate import OrderBy  # noqa: TC001 - pydantic reads it
from checkpointd.config.section import Section
from checkpointd.config.types import (
    Checkpoints,
    Days,
    Duration,
    Flag,
    Hours,
    Location,
    Months,
    Percent,
    SchemaAlternative,
    SchemaSingleTable,
    Share,
    ShownName,
    Size,
    StepList,
    Steps,
    TagList,
    Text,
    TimeZone,
    TrashMode,
    Weeks,
    Years,
)
from checkpointd.retention_rules import Effect, RuleSpec, Value, table
from checkpointd.retention_rules.local_time import HOST

_TYPES = {
    Value.CHECKPOINTS: Checkpoints,
    Value.HOURS: Hours,
    Value.DAYS: Days,
    Value.WEEKS: Weeks,
    Value.MONTHS: Months,
    Value.YEARS: Years,
    Value.STEPS: Steps,
    Value.STEP_LIST: StepList,
    Value.TAG_LIST: TagList,
    Value.DURATION: Duration,
    Value.TEXT: Text,
    Value.FLAG: Flag,
}

_NOT_EMPTY = Field(min_length=1)


def _value_type(spec: RuleSpec) -> Any:
    """What a rule's key holds: the value of its only option, else a table of them."""
    options = spec.options
    if len(options) == 1:
        return _TYPES.get(options[0].type, options[0].type)
    fields: dict[str, Any] = {
        o.name: (
            Annotated[_TYPES.get(o.type, o.type), Field(description=o.help)],
            ... if o.default is dataclasses.MISSING else o.default,
        )
        for o in options
    }
    section: Any = create_model(spec.rule.__name__, __base__=Section, __doc__=spec.help, **fields)
    if spec.repeatable:
        return Annotated[
            tuple[section, ...], _NOT_EMPTY, BeforeValidator(_as_list), SchemaSingleTable()
        ]
    if spec.has_short_form:
        first = options[0]
        plain = {"type": "integer", "minimum": 1}
        return Annotated[
            section,
            BeforeValidator(
                lambda value: value if isinstance(value, dict | Section) else {first.name: value}
            ),
            SchemaAlternative(plain, "whole number, or a table", str(first.type.name).lower()),
        ]
    return section


def _as_list(value: object) -> object:
    return [value] if isinstance(value, dict) else value


def _rule_keys() -> dict[str, Any]:
    return {
        spec.name: (Annotated[_value_type(spec) | None, Field(description=spec.help)], None)
        for spec in table.RULES
    }


class _Policy(Section):
    mode: Literal["off", "dry-run", "enforce"] = "dry-run"
    """`off` makes no plan, `dry-run` reports what it would remove, `enforce` removes it."""

    confirm: Literal["changes", "never"] = "changes"
    """`changes`: what was there before a policy is removed once `prune --apply` confirmed it."""

    max_removals: Checkpoints = 10
    """More than this, and more than `max_removals_percent`, wait for `prune --apply`."""

    max_removals_percent: Percent = 20
    """Share of a watch's checkpoints that one round may remove, where it is `max_removals`."""

    require: tuple[ShownName, ...] = ("intact",)
    """What a checkpoint must have shown to fill a slot of a rule."""


if TYPE_CHECKING:
    _Rules = _Policy
else:
    _Rules = create_model("_Rules", __base__=_Policy, **_rule_keys())


class RetentionSettings(_Rules):
    """`[watch.retention]`: what is kept; rules are combined by OR."""

    group_by: Literal["series", "directory", "watch"] = "series"
    """What rules count together: each series, all of a directory, or all of the watch."""

    keep_min_valid: Checkpoints = 2
    """Never leave fewer valid checkpoints of a series than this."""

    keep_runs: Checkpoints = 2
    """How many runs are kept; older ones go when these have what the rules ask for."""

    order: OrderBy = "witnesses"
    """What decides which is newer: two of number, save time and first sight, or one of them."""

    min_age: Duration = 3600.0
    """What was first seen less than this long ago is not removed."""

    links: tuple[Location, ...] = ()
    """Directories outside the root, searched for symlinks to checkpoints, which then stay."""

    prune_listed: Flag = False
    """Whether what a job's `checkpoint` state file lists may be removed, except its latest."""

    timezone: TimeZone = HOST
    """The time zone of hours, days and longer periods: `"Europe/Berlin"`; `"local"`: the host's."""

    prune_defer: Share | None = None
    """Prune only while the file system is fuller than this, not counting the trash: `"80%"`."""

    max_total_bytes: Size | None = None
    """Remove the oldest, though rules keep them, while a watch's checkpoints are larger."""

    vault: Checkpoints | None = None
    """How many of the last valid contents of each overwritten path to keep copies of."""

    hold_after: Checkpoints = 3
    """Prune nothing of a series while as many of its newest are invalid as this, in a row."""

    trash_ttl: Duration = 72 * 3600.0
    """How long `checkpointd restore` can bring back what was pruned."""

    trash_mode: TrashMode = "inherit"
    """Who may see and remove what was pruned: `"inherit"`, who could before; or `"0700"`."""

    trash_dir: Location | None = None
    """Where the trash is instead of in the root; on the same file system, in no watch."""

    @property
    def has_rules(self) -> bool:
        """Whether any rule decides about valid ones; without one nothing is ever pruned."""
        deciding = (*table.names(Effect.KEEP), *table.names(Effect.EXPIRE))
        return any(getattr(self, name) is not None for name in (*deciding, table.SIZE))

    @model_validator(mode="after")
    def _has_something_to_enforce(self) -> RetentionSettings:
        if self.mode == "enforce" and not self.has_rules and self.vault is None:
            raise ValueError(
                'mode = "enforce" needs at least one keep_ rule, ttl, max_total_bytes or vault'
            )
        return self
