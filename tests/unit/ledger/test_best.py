"""The best of a series, as the ledger knows it: what an evaluation is bounded by."""

from __future__ import annotations

import math
import sqlite3
from typing import TYPE_CHECKING

import pytest

from checkpointd.core.checkpoint import Checkpoint
from checkpointd.core.format_specs import Format
from checkpointd.core.report import Facts
from checkpointd.core.verdict import Verdict
from checkpointd.ledger import Ledger, opening, schema
from tests.helpers.ledger import generation, report

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """An empty ledger."""
    opened = Ledger.open(tmp_path)
    yield opened
    opened.close()


def _at(step: int, series: str = "ckpt-{}") -> Checkpoint:
    return Checkpoint(f"/w/{series}{step}", Format.HDF5, "w", series, str(step), step)


def record(
    ledger: Ledger,
    step: int,
    value: float,
    verdict: Verdict = Verdict.VALID,
    *,
    by: str = "e",
    series: str = "ckpt-{}",
) -> None:
    """Report a checkpoint that was saved at its step's second and evaluated."""
    facts = Facts(evaluation={"accuracy": value}, evaluated_by=by)
    ledger.record_report(report(_at(step, series), generation(step), verdict, facts=facts))


def best(ledger: Ledger, step: int, by: str = "e") -> tuple[float, float] | None:
    """The lowest and highest accuracy before a step."""
    return ledger.extremes(_at(step), generation(step), by).get("accuracy")


def test_the_best_is_of_the_valid_ones_of_the_series_so_far(ledger: Ledger) -> None:
    """Not of other series, not of what is invalid, not of what was saved later, not of itself."""
    assert best(ledger, 1) is None
    record(ledger, 1, 0.5)
    record(ledger, 2, 0.7)
    record(ledger, 3, 0.99, Verdict.INVALID)
    record(ledger, 4, 0.6)
    record(ledger, 9, 0.98)
    record(ledger, 2, 0.97, series="other-{}")
    assert best(ledger, 5) == (0.5, 0.7)
    assert best(ledger, 2) == (0.5, 0.5)
    assert best(ledger, 10) == (0.5, 0.98)


def test_values_of_another_evaluation_are_not_compared(ledger: Ledger) -> None:
    """Another function, or other data, measures something else."""
    record(ledger, 1, 0.9, by="old")
    record(ledger, 2, 0.5, by="new")
    assert best(ledger, 3, "new") == (0.5, 0.5)


def test_a_report_that_was_renewed_counts_as_it_is_now(ledger: Ledger) -> None:
    """A wrong evaluation that gave 100 per cent does not stay the best for ever."""
    record(ledger, 1, 1.0)
    record(ledger, 2, 0.8)
    record(ledger, 1, 0.4)
    assert best(ledger, 3) == (0.4, 0.8)
    record(ledger, 2, 0.8, Verdict.INVALID)
    assert best(ledger, 3) == (0.4, 0.4)


def test_what_was_pruned_stays_the_best(ledger: Ledger) -> None:
    """The measure of the series does not fall because a checkpoint was removed."""
    record(ledger, 1, 0.9)
    ledger.record_trashed(_at(1).path, rule="keep_last", reason="old", item="i")
    record(ledger, 2, 0.5)
    ledger.record_gone(_at(2).path)
    assert best(ledger, 3) == (0.5, 0.9)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_never_the_best(ledger: Ledger, value: float) -> None:
    """Nor the worst."""
    record(ledger, 1, value)
    assert best(ledger, 2) is None
    record(ledger, 2, 0.5)
    assert best(ledger, 3) == (0.5, 0.5)


def test_values_go_with_their_reports(ledger: Ledger) -> None:
    """A path that is overwritten for ever does not fill the ledger."""
    facts = Facts(evaluation={"accuracy": 0.5}, evaluated_by="e")
    for second in range(40):
        ledger.record_report(report(_at(1), generation(second), facts=facts))
    count = "SELECT count(*) FROM evaluations"
    assert ledger._rows(count) == [(20,)]
    assert ledger._rows("SELECT count(*) FROM reports") == [(20,)]


def test_a_ledger_from_before_is_brought_up_to_date(tmp_path: Path) -> None:
    """Its reports stay, and the best begins with what is evaluated from now on."""
    connection, _ = opening.open_writable(tmp_path, version=1)
    connection.close()
    ledger = Ledger.open(tmp_path)
    record(ledger, 1, 0.5)
    assert best(ledger, 2) == (0.5, 0.5)
    ledger.close()
    with sqlite3.connect(tmp_path / opening.NAME) as again:
        assert again.execute("PRAGMA user_version").fetchone() == (schema.VERSION,)
    again.close()


def test_large_reports_do_not_pile_up_in_memory(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model of ten thousand tensors has reports of 200 kB; the daemon stays small."""
    monkeypatch.setattr("checkpointd.ledger.row_reader._CACHED_BYTES", 5000)
    for step in range(20):
        ledger.record_report(
            report(_at(step), generation(step), facts=Facts(writer=f"{step}" * 50))
        )
    assert len(ledger.entries()) == 20
    assert 0 < len(ledger._reports) < 20
    assert ledger._reports.size_bytes <= 5000
