"""A series at a glance: the newest, the newest valid one, and what came after that."""

from __future__ import annotations

import dataclasses
import time
from typing import TYPE_CHECKING

import pytest

from checkpointd.core.checkpoint import Checkpoint
from checkpointd.core.format_specs import Format
from checkpointd.core.report import Facts
from checkpointd.core.verdict import Verdict
from checkpointd.ledger import Ledger, State
from tests.helpers.ledger import generation, report

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from checkpointd.ledger import SeriesSummary


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """An empty ledger."""
    opened = Ledger.open(tmp_path)
    yield opened
    opened.close()


def checkpoint(number: int) -> Checkpoint:
    """A checkpoint `ckpt-N`, with a metric in its name."""
    path, text = f"/w/ckpt-{number}", str(number)
    return Checkpoint(path, Format.HDF5, "w", "ckpt-{}", text, number, {"loss": 0.5})


def saved(ledger: Ledger, number: int, verdict: Verdict = Verdict.VALID) -> None:
    """Record a checkpoint `ckpt-N` that was saved N seconds after 1000 and has a verdict."""
    found = report(checkpoint(number), generation(1000 + number), verdict)
    ledger.record_report(dataclasses.replace(found, message=f"about {number}"))


def summary(ledger: Ledger) -> SeriesSummary:
    """The only series."""
    (one,) = ledger.series()
    return one


def test_what_is_not_valid_counts_since_the_newest_valid_one(ledger: Ledger) -> None:
    """An older failure that a valid one has followed counts no more."""
    for number, verdict in enumerate(
        [Verdict.INVALID, Verdict.VALID, Verdict.INVALID, Verdict.INCONCLUSIVE]
    ):
        saved(ledger, number, verdict)
    pending = Checkpoint("/w/ckpt-4", Format.HDF5, "w", "ckpt-{}", "4", 4)
    ledger.record_seen(pending, generation(1004), State.PENDING, "waits")
    found = summary(ledger)
    assert found.newest is not None
    assert (found.newest.path, found.newest.state, found.newest.message) == (
        "/w/ckpt-4",
        State.PENDING,
        "waits",
    )
    assert found.newest_verified is not None
    assert (found.newest_verified.step, found.newest_verified.message) == (3, "about 3")
    assert found.newest_valid is not None
    assert found.newest_valid.step == 1
    assert (found.not_valid, found.not_valid_since) == (2, 1002)
    assert (found.count, found.saves) == (5, (1003, 1002, 1001, 1000))
    saved(ledger, 5)
    found = summary(ledger)
    assert (found.not_valid, found.not_valid_since) == (0, None)


def test_a_valid_one_that_is_gone_is_not_the_newest_valid_one(ledger: Ledger) -> None:
    """It is still known when it was saved."""
    saved(ledger, 1)
    saved(ledger, 2, Verdict.INVALID)
    ledger.record_gone("/w/ckpt-1")
    found = summary(ledger)
    assert (found.newest_valid, found.last_valid) == (None, 1001)
    assert (found.not_valid, found.not_valid_since, found.count) == (1, 1002, 1)


def test_the_reports_of_a_series_are_one_for_each_content(ledger: Ledger) -> None:
    """What was verified again counts once; what is gone still does."""
    for number in (1, 2, 2, 3):
        saved(ledger, number)
    ledger.record_gone("/w/ckpt-3")
    found = ledger.series_reports("w", "ckpt-{}", 9)
    assert [(i, r.checkpoint.step) for i, r in found] == [(None, 3), (2, 2), (1, 1)]
    assert len(ledger.series_reports("w", "ckpt-{}", 2)) == 2
    assert ledger.series_reports("w", "other", 9) == []


def test_the_newest_of_a_series_is_not_one_whose_clock_was_ahead(
    ledger: Ledger,
) -> None:
    """A save by a clock that was a day ahead is not the newest for a day."""
    tomorrow = time.time() + 86400
    ledger.record_report(report(checkpoint(1), generation(tomorrow)))
    ledger.record_report(report(checkpoint(2), generation(time.time()), Verdict.INVALID))
    (summary,) = ledger.series()
    assert summary.newest is not None
    assert summary.newest_valid is not None
    assert summary.newest.state is State.INVALID
    assert summary.newest_valid.saved_at <= time.time()
    assert summary.last_valid < tomorrow
    ledger.record_gone("/w/ckpt-1")
    ledger.record_gone("/w/ckpt-2")
    (summary,) = ledger.series()
    assert (summary.newest, summary.newest_valid) == (None, None)


def test_the_metrics_of_a_series_are_those_of_evaluate_the_record_and_the_name(
    ledger: Ledger,
) -> None:
    """Where two have the same name, what was measured counts."""
    facts = Facts(metrics={"loss": 0.3, "accuracy": 0.5}, evaluation={"accuracy": 0.75})
    ledger.record_report(report(checkpoint(1), generation(), facts=facts))
    (summary,) = ledger.series()
    assert summary.metrics == {"loss": 0.3, "accuracy": 0.75}


def test_the_neighbours_of_a_checkpoint_are_those_on_disk(ledger: Ledger) -> None:
    """By the time of saving; what is gone is skipped, and an end has none."""
    for number in (1, 2, 3, 4):
        saved(ledger, number)
    ledger.record_gone("/w/ckpt-2")

    def steps(path: str) -> list[int | None]:
        entry = ledger.entry(path)
        assert entry is not None
        return [one and one.step for one in ledger.neighbours(entry)]

    assert steps("/w/ckpt-3") == [1, 4]
    assert steps("/w/ckpt-1") == [None, 3]
    assert steps("/w/ckpt-4") == [3, None]


def test_no_query_about_a_series_goes_through_all_valid_checkpoints(ledger: Ledger) -> None:
    """Of 100 000 checkpoints nearly all are valid: the index of states would find them all."""
    for number in (1, 2):
        saved(ledger, number)
    statements: list[str] = []
    connection = ledger._connection
    connection.set_trace_callback(statements.append)
    summary(ledger)
    entry = ledger.entry("/w/ckpt-1")
    assert entry is not None
    ledger.neighbours(entry)
    ledger.series_reports("w", "ckpt-{}", 9)
    connection.set_trace_callback(None)
    plans = [str(connection.execute(f"EXPLAIN QUERY PLAN {one}").fetchall()) for one in statements]
    assert len(plans) > 8
    assert [plan for plan in plans if "checkpoints_by_state" in plan] == []
