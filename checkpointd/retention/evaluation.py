"""Which checkpoints must be evaluated before `keep_best` can compare them; pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from checkpointd.config import RetentionSettings
    from checkpointd.core.verify_settings import VerifySettings
    from checkpointd.ledger import Entry


@dataclass(frozen=True)
class CurrentEvaluation:
    """How a watch's checkpoints are evaluated now, as digests.

    `evaluated_by` is that of `evaluate`, empty where nothing is evaluated; `settings` that of all
    settings of the verification: what has a report with them is not evaluated a second time.
    """

    evaluated_by: str = ""
    settings: str = ""

    @classmethod
    def of(cls, settings: VerifySettings) -> CurrentEvaluation:
        """What the settings of a verification ask for."""
        evaluation = settings.evaluate
        return cls(evaluation.digest if evaluation.is_set else "", settings.digest)


NOT_EVALUATED = CurrentEvaluation()


@dataclass(frozen=True)
class Unevaluated:
    """The checkpoints of a series that wait for `evaluate`, newest first, and of how many."""

    entries: tuple[Entry, ...] = ()
    candidates: int = 0

    @property
    def next(self) -> tuple[Entry, ...]:
        """The ones to evaluate now: only one at first, to see whether it computes the metric."""
        return self.entries if len(self.entries) < self.candidates else self.entries[:1]


NONE_WAIT = Unevaluated()


def unevaluated(
    eligible: Sequence[Entry], policy: RetentionSettings, current: CurrentEvaluation
) -> Unevaluated:
    """Find the valid ones of a series that were verified before `evaluate` was what it is now.

    Args:
        eligible: the valid ones of the series, newest first.
        policy: its `keep_best` names the metrics that matter.
        current: the evaluation of the watch.
    """
    metrics = {rule.metric for rule in getattr(policy, "keep_best", None) or ()}
    if not metrics or not current.evaluated_by:
        return NONE_WAIT
    reports = [(e, e.report) for e in eligible if e.report is not None]
    results = [r.facts.evaluation for _, r in reports if _is_by(r.facts.evaluated_by, current)]
    if results and not any(metrics & set(values) for values in results):
        return NONE_WAIT
    waiting = tuple(
        e
        for e, r in reports
        if not _is_by(r.facts.evaluated_by, current) and r.settings_digest != current.settings
    )
    return Unevaluated(waiting, len(eligible))


def _is_by(evaluated_by: str, current: CurrentEvaluation) -> bool:
    return evaluated_by == current.evaluated_by
