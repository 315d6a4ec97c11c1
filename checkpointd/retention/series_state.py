"""The state of one series when it is planned, which holds depend on. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from checkpointd.retention import grouping
from checkpointd.retention.evaluation import NONE_WAIT, Unevaluated
from checkpointd.retention.references import NO_REFERENCES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from checkpointd.config import RetentionSettings
    from checkpointd.ledger import Entry
    from checkpointd.retention.references import References
    from checkpointd.retention.root.doubts import RootDoubts
    from checkpointd.retention.series_order import SeriesOrder
    from checkpointd.retention_rules import Obstacle
    from checkpointd.series.doubts import SeriesNames


@dataclass(frozen=True)
class SeriesState:
    """What holds depend on: the order of the checkpoints of a series that are on disk.

    `listing` is why the watch could not be listed (empty if it could), `root` what is doubtful
    about the root and the ledger, `obstacles` are why rules of the policy cannot be evaluated,
    `unevaluated` what waits for `evaluate`, `references` what refers to checkpoints, and what of
    it cannot be read, `templates` the `version` of the watch.
    """

    order: SeriesOrder
    policy: RetentionSettings
    listing: str
    root: RootDoubts
    obstacles: Sequence[Obstacle] = ()
    unevaluated: Unevaluated = NONE_WAIT
    references: References = NO_REFERENCES
    templates: Sequence[str] = ()

    @property
    def entries(self) -> Sequence[Entry]:
        """The checkpoints, newest first."""
        return self.order.newest_first

    @cached_property
    def is_merged(self) -> bool:
        """Whether they are of several series, which the policy counts together."""
        if self.policy.group_by == "series":
            return False
        first = self.entries[0].checkpoint.series
        return any(e.checkpoint.series != first for e in self.entries)

    @cached_property
    def models(self) -> grouping.Models:
        """What reports say of the models."""
        return grouping.models_of(self.entries)

    @cached_property
    def names(self) -> SeriesNames | None:
        """The names for comparison; None if they leave nothing open.

        Of several series the config says what they are (`group_by`).
        """
        if self.is_merged:
            return None
        return grouping.names_of(self.entries, self.templates)
