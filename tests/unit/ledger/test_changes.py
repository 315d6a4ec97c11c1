"""Every write to the ledger leaves a typed change behind, so that no writer has to notify."""

from __future__ import annotations

import dataclasses
import sqlite3
from typing import TYPE_CHECKING

import pytest

from checkpointd.core.verdict import Verdict
from checkpointd.ledger import Change, ChangeKind, Ledger, LedgerError, State
from tests.helpers.ledger import report, write_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """An empty ledger, without the changes of making it."""
    (tmp_path / "state").mkdir()
    opened = Ledger.open(tmp_path / "state")
    opened.take_changes()
    yield opened
    opened.close()


def test_each_write_names_the_state_before_and_after(ledger: Ledger, tmp_path: Path) -> None:
    """From the first sight of a file to its return from the trash."""
    checkpoint, generation = write_file(tmp_path / "m-1.h5", 1000.0)
    path, series = checkpoint.path, (checkpoint.watch, checkpoint.series)
    ledger.record_seen(checkpoint, generation, State.PENDING)
    ledger.record_report_if_current(report(checkpoint, generation))
    ledger.record_trashed(path, rule="r", reason="x", item="i")
    ledger.record_restored(path, "i")
    ledger.record_gone(path)
    assert ledger.take_changes() == [
        Change(ChangeKind.SEEN, *series, None, State.PENDING),
        Change(ChangeKind.VERDICT, *series, State.PENDING, State.VALID),
        Change(ChangeKind.TRASHED, *series, State.VALID, State.TRASHED),
        Change(ChangeKind.RESTORED, *series, State.TRASHED, State.VALID),
        Change(ChangeKind.GONE, *series, State.VALID, State.GONE),
    ]
    assert ledger.take_changes() == []


def test_a_checkpoint_that_changes_its_series_leaves_one_and_comes_to_the_other(
    ledger: Ledger, tmp_path: Path
) -> None:
    """Both series have changed, and each loses or gains exactly one checkpoint."""
    checkpoint, generation = write_file(tmp_path / "m-1.h5", 1000.0)
    ledger.record_seen(checkpoint, generation, State.PENDING)
    ledger.take_changes()
    ledger.record_placement(dataclasses.replace(checkpoint, series="other"))
    watch = checkpoint.watch
    assert ledger.take_changes() == [
        Change(ChangeKind.PLACED, watch, checkpoint.series, State.PENDING, None),
        Change(ChangeKind.PLACED, watch, "other", None, State.PENDING),
    ]


def test_a_verdict_does_not_bring_back_the_series_from_before(
    ledger: Ledger, tmp_path: Path
) -> None:
    """A template changed while a checkpoint was verified: what it is a version of stays changed."""
    checkpoint, generation = write_file(tmp_path / "m-1.h5", 1000.0)
    ledger.record_seen(checkpoint, generation, State.PENDING)
    placed = dataclasses.replace(checkpoint, series="other", version="1", step=1)
    ledger.record_placement(placed)
    noted = ledger.record_state_if_current(checkpoint, generation, State.INCONCLUSIVE)
    found = ledger.record_report_if_current(report(checkpoint, generation, Verdict.VALID))
    assert noted is not None
    assert found is not None
    assert noted.checkpoint == found.checkpoint == placed
    assert found.report is not None
    assert found.report.checkpoint.series == "other"
    last = ledger.last_valid(checkpoint.watch, "other")
    assert last is not None
    assert last.path == checkpoint.path


def test_a_report_about_overwritten_content_changes_no_state(
    ledger: Ledger, tmp_path: Path
) -> None:
    """It is history, and the series' last verdict is another than before."""
    checkpoint, generation = write_file(tmp_path / "m-1.h5", 1000.0)
    ledger.record_report_if_current(report(checkpoint, generation, Verdict.INVALID))
    assert ledger.take_changes() == [
        Change(ChangeKind.VERDICT, checkpoint.watch, checkpoint.series)
    ]


def test_pins_name_the_watch_of_the_path_where_it_is_known(ledger: Ledger, tmp_path: Path) -> None:
    """A path may be pinned before anything is there."""
    checkpoint, generation = write_file(tmp_path / "m-1.h5", 1000.0)
    ledger.record_seen(checkpoint, generation, State.PENDING)
    ledger.take_changes()
    ledger.pin(checkpoint.path)
    ledger.unpin(checkpoint.path)
    ledger.pin("/elsewhere")
    pins = Change(ChangeKind.PINS, checkpoint.watch, checkpoint.series)
    assert ledger.take_changes() == [pins, pins, Change(ChangeKind.PINS, "")]


def test_what_could_not_be_written_is_no_change(ledger: Ledger, tmp_path: Path) -> None:
    """A transaction that fails leaves the ledger, and so everything that follows it, as it was."""
    checkpoint, generation = write_file(tmp_path / "m-1.h5", 1000.0)

    def write_half() -> None:
        with ledger._writing():
            ledger._store(ChangeKind.SEEN, checkpoint, generation, State.PENDING, "", None)
            raise sqlite3.OperationalError("disk full")

    with pytest.raises(LedgerError):
        write_half()
    ledger.check_writable()
    assert ledger.take_changes() == []
