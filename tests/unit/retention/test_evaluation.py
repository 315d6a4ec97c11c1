"""Which checkpoints wait for `evaluate`, and that nothing is removed meanwhile."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from checkpointd.core.verify_settings import Evaluation, VerifySettings
from checkpointd.retention import plan
from checkpointd.retention.evaluation import CurrentEvaluation
from tests.helpers.plans import NOW, hold_reasons, kept, policy, series

if TYPE_CHECKING:
    from checkpointd.ledger import Entry

NOW_ASKED = CurrentEvaluation("new", "settings")
POLICY = policy(keep_last=1, keep_best=[{"n": 2, "metric": "accuracy", "mode": "max"}])


def _evaluated(entry: Entry, value: float | None, by: str, settings: str) -> Entry:
    assert entry.report is not None
    values = {} if value is None else {"accuracy": value}
    facts = replace(entry.report.facts, metrics=values, evaluation=values, evaluated_by=by)
    return replace(entry, report=replace(entry.report, facts=facts, settings_digest=settings))


def test_the_older_ones_are_evaluated_before_anything_is_removed() -> None:
    """One shows whether the metric is computed, then all others follow; the hold counts them."""
    entries = series(8)
    first = plan(entries, POLICY, NOW, evaluation=NOW_ASKED)
    assert (first.removals, hold_reasons(first)) == ((), {"unevaluated"})
    assert [e.id for e in first.unevaluated] == [8]
    entries[7] = _evaluated(entries[7], 0.1, "new", "settings")
    second = plan(entries, POLICY, NOW, evaluation=NOW_ASKED)
    assert second.holds[0].message.startswith("1 of 8 valid checkpoints")
    assert {e.id for e in second.unevaluated} == set(range(1, 8))
    done = [_evaluated(e, e.id / 10, "new", "settings") for e in entries]
    last = plan(done, POLICY, NOW, evaluation=NOW_ASKED)
    assert (hold_reasons(last), kept(last), last.unevaluated) == (set(), {8, 7}, ())


def test_values_of_a_former_evaluation_do_not_count() -> None:
    """Another function or other data: they are evaluated again."""
    entries = [_evaluated(e, e.id / 10, "old", "before") for e in series(5)]
    planned = plan(entries, POLICY, NOW, evaluation=NOW_ASKED)
    assert (planned.removals, hold_reasons(planned)) == ((), {"unevaluated"})


def test_what_could_not_be_evaluated_is_not_tried_again() -> None:
    """It stays, as what does not have the metric."""
    entries = [_evaluated(e, e.id / 10, "new", "settings") for e in series(6)]
    entries[0] = _evaluated(entries[0], None, "", "settings")
    planned = plan(entries, POLICY, NOW, evaluation=NOW_ASKED)
    assert (hold_reasons(planned), kept(planned)) == (set(), {1, 5, 6})


def test_an_evaluation_that_does_not_compute_the_metric_is_not_waited_for() -> None:
    """The metric may come from the file names."""
    entries = series(6, metrics={"loss": 0.5})
    entries[5] = _evaluated(entries[5], 0.5, "new", "settings")
    by_name = policy(keep_best=[{"n": 2, "metric": "loss", "mode": "min"}])
    assert plan(entries, by_name, NOW, evaluation=NOW_ASKED).unevaluated == ()
    assert plan(entries, policy(keep_last=1), NOW, evaluation=NOW_ASKED).unevaluated == ()


def test_the_current_evaluation_is_that_of_the_settings() -> None:
    """Without `evaluate` there is none."""
    assert CurrentEvaluation.of(VerifySettings()).evaluated_by == ""
    asked = VerifySettings(evaluate=Evaluation(function="m:f"))
    assert CurrentEvaluation.of(asked) == CurrentEvaluation(asked.evaluate.digest, asked.digest)
