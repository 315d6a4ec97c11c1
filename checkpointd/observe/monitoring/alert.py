"""What an alert is, and the settings that the rules are printed for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

DAY = 86400

CRITICAL = "critical"
"""Somebody should look now."""

WARNING = "warning"
"""Somebody should look today."""

INFO = "info"
"""Good to know; nobody needs to be woken."""


@dataclass(frozen=True)
class RuleSettings:
    """What differs between installations.

    `job` is the daemon's `job_name` in the scrape configuration. `intervals` maps a watch to the
    seconds within which each of its series has to get a valid checkpoint, instead of three times
    its usual interval. A series in which nothing was saved for `ended_after` seconds is taken for
    a job that has ended.
    """

    job: str = "checkpointd"
    intervals: Mapping[str, float] = field(default_factory=dict)
    ended_after: float = 7 * DAY
    docs_url: str = ""


@dataclass(frozen=True)
class Alert:
    """One rule.

    Args:
        name: without the prefix `Checkpointd`.
        expr: PromQL.
        wait: how long it must hold, as Prometheus writes durations.
        severity: CRITICAL, WARNING or INFO.
        summary: one line, with Prometheus's templates.
        description: what it means and where to look first.
        runbook: a heading of the page `operations`.
        meaning: the same in one line of that page, without templates.
        cause: a label that distinguishes alerts of the same name; empty for none.
    """

    name: str
    expr: str
    wait: str
    severity: str
    summary: str
    description: str
    runbook: str
    meaning: str
    cause: str = ""

    @property
    def full_name(self) -> str:
        """The name in Prometheus."""
        return f"Checkpointd{self.name}"
