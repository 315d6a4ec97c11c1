"""What is kept of each report in a row of its own: all that lists, plans and metrics ask for.

A report is compressed JSON of some kilobytes, and takes a hundred times as long to read as its row.
The row has a checksum; where it is missing or damaged, the report itself is read.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from checkpointd.core.format_specs import Format
from checkpointd.core.verdict import Verdict
from checkpointd.ledger import rows

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from checkpointd.core.report import Facts, Report

COLUMNS = (
    "report",
    "verdict",
    "reason",
    "message",
    "shown",
    "settings",
    "finished_at",
    "duration",
    "model",
    "measured",
    "seal",
)
"""The columns of `summaries`, in order."""

INSERT = (
    f"INSERT INTO summaries ({', '.join(COLUMNS)}) "  # noqa: S608 - our own names
    f"VALUES ({', '.join('?' * len(COLUMNS))})"
)

_NOTHING: dict[str, float] = {}
_Model = tuple[Format, str, str, str, str, bool]
_KNOWN_MOST = 10_000
_MEASURED = 7


@dataclass(frozen=True, slots=True)
class FactsSummary:
    """Those of the facts of a report that decisions and metrics depend on; see `Facts`."""

    format: Format
    writer: str
    tensors_digest: str
    model_digest: str
    evaluated_by: str
    has_golden: bool
    step: int | None
    metrics: Mapping[str, float]
    evaluation: Mapping[str, float]
    predictions_max_abs_difference: float | None
    weight_norm: float | None
    weight_change_ratio: float | None
    non_finite_values: int


@dataclass(frozen=True, slots=True)
class ReportSummary:
    """A report without its checks and its details; `id` is the one of the report."""

    id: int
    verdict: Verdict
    reason: str
    message: str
    shown: tuple[str, ...]
    settings_digest: str
    finished_at: float
    duration_seconds: float
    facts: FactsSummary


def row_of(number: int | None, report: Report) -> tuple[Any, ...]:
    """The row of a report."""
    facts = report.facts
    values = (
        number,
        str(report.verdict),
        report.reason,
        rows.encode(report.message),
        json.dumps(report.shown),
        report.settings_digest,
        report.finished_at,
        report.duration_seconds,
        json.dumps(_model(facts)),
        json.dumps(_measured(facts)),
    )
    return (*values, rows.seal(values))


def _model(facts: Facts) -> list[Any]:
    """What the checkpoints of one series have in common."""
    return [
        str(facts.format),
        facts.writer,
        facts.tensors_digest,
        facts.model_digest,
        facts.evaluated_by,
        facts.has_golden,
    ]


def _measured(facts: Facts) -> list[Any]:
    """What each checkpoint has of its own, without what is not known at the end."""
    found: list[Any] = [
        facts.step,
        dict(facts.metrics) or None,
        dict(facts.evaluation) or None,
        facts.predictions_max_abs_difference,
        facts.weight_norm,
        facts.weight_change_ratio,
        facts.non_finite_values or None,
    ]
    while found and found[-1] is None:
        found.pop()
    return found


class SummaryDecoder:
    """Reads rows; what many of them have in common is kept once."""

    def __init__(self) -> None:
        self._models: dict[str, _Model] = {}
        self._plain: dict[str, FactsSummary] = {}
        self._shown: dict[str, tuple[str, ...]] = {}
        self._texts: dict[str, str] = {}
        self._known: tuple[dict[str, Any], ...] = (
            self._models,
            self._plain,
            self._shown,
            self._texts,
        )

    def summary(self, row: Sequence[Any]) -> ReportSummary | None:
        """Read a row of `COLUMNS`; None if there is none, or it is damaged."""
        *values, seal = row
        if values[0] is None or seal != rows.seal(values):
            return None
        number, verdict, reason, message, shown, settings, finished, seconds, model, measured = (
            values
        )
        for known in self._known:
            if len(known) > _KNOWN_MOST:
                known.clear()
        try:
            return ReportSummary(
                number,
                Verdict(verdict),
                self._texts.setdefault(reason, reason),
                rows.text_of(message),
                self._words(shown),
                self._texts.setdefault(settings, settings),
                finished,
                seconds,
                self._facts(model, measured),
            )
        except (ValueError, TypeError, RecursionError):
            return None

    def _words(self, text: str) -> tuple[str, ...]:
        found = self._shown.get(text)
        if found is None:
            found = self._shown[text] = tuple(json.loads(text))
        return found

    def _facts(self, model: str, measured: str) -> FactsSummary:
        if measured == "[]":
            found = self._plain.get(model)
            if found is None:
                found = self._plain[model] = FactsSummary(
                    *self._model(model), None, _NOTHING, _NOTHING, None, None, None, 0
                )
            return found
        values: list[Any] = json.loads(measured)
        values += [None] * (_MEASURED - len(values))
        step, metrics, evaluation, predictions, norm, change, non_finite = values
        return FactsSummary(
            *self._model(model),
            step,
            metrics or _NOTHING,
            evaluation or _NOTHING,
            predictions,
            norm,
            change,
            non_finite or 0,
        )

    def _model(self, text: str) -> _Model:
        found = self._models.get(text)
        if found is None:
            kind, writer, tensors, layers, evaluated_by, golden = json.loads(text)
            found = (Format(kind), writer, tensors, layers, evaluated_by, bool(golden))
            self._models[text] = found
        return found


def summary_of(number: int, report: Report) -> ReportSummary:
    """The same from the report itself."""
    facts = report.facts
    return ReportSummary(
        number,
        report.verdict,
        report.reason,
        report.message,
        report.shown,
        report.settings_digest,
        report.finished_at,
        report.duration_seconds,
        FactsSummary(
            facts.format,
            facts.writer,
            facts.tensors_digest,
            facts.model_digest,
            facts.evaluated_by,
            facts.has_golden,
            facts.step,
            facts.metrics,
            facts.evaluation,
            facts.predictions_max_abs_difference,
            facts.weight_norm,
            facts.weight_change_ratio,
            facts.non_finite_values,
        ),
    )
