"""What the ledger keeps: sightings, reports, states, and the answers to questions."""

from __future__ import annotations

import dataclasses
import math
import time
from typing import TYPE_CHECKING

import pytest

from checkpointd.core.checkpoint import Checkpoint, Generation
from checkpointd.core.format_specs import Format
from checkpointd.core.report import Facts
from checkpointd.core.verdict import Verdict
from checkpointd.ledger import Ledger, LedgerError, State
from checkpointd.ledger.facts import RecordedPath
from checkpointd.ledger.summaries import summary_of
from tests.helpers.ledger import generation, report

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ODD = "/w/a\n\udcff/ckpt-1"


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """An empty ledger."""
    opened = Ledger.open(tmp_path)
    yield opened
    opened.close()


def _checkpoint(
    path: str = "/w/ckpt-1", series: str = "ckpt-{}", step: int | None = 1
) -> Checkpoint:
    return Checkpoint(path, Format.HDF5, "w", series, "1", step, {"loss": 0.5})


def test_a_sighting_comes_back_as_it_was(ledger: Ledger) -> None:
    """Paths that are no Unicode, messages and NaN metrics survive the way through the file."""
    checkpoint = dataclasses.replace(_checkpoint(ODD, "a\n\udcff/ckpt-{}"), metrics={"x": math.nan})
    seen = ledger.record_seen(checkpoint, generation(), State.WRITING, "not yet: \udcff")
    assert seen.checkpoint.path == ODD
    assert seen.checkpoint.series == "a\n\udcff/ckpt-{}"
    assert math.isnan(seen.checkpoint.metrics["x"])
    assert (seen.state, seen.message) == (State.WRITING, "not yet: \udcff")
    assert seen.generation == generation()
    assert ledger.by_id(seen.id) == ledger.entry(ODD)
    assert ledger.entry("/nowhere") is None


def test_a_report_gives_the_state_and_stays_with_its_generation(ledger: Ledger) -> None:
    """A new generation has no report until it gets one; the old one stays in the history."""
    first, second = generation(1000), generation(2000)
    ledger.record_seen(_checkpoint(), first, State.PENDING)
    kept = ledger.record_report(report(_checkpoint(), first))
    assert (kept.state, kept.report) == (State.VALID, report(_checkpoint(), first))
    again = ledger.record_seen(_checkpoint(), second, State.PENDING)
    assert (again.id, again.state, again.report) == (kept.id, State.PENDING, None)
    assert again.sequence > kept.sequence
    bad = ledger.record_report(report(_checkpoint(), second, Verdict.INVALID))
    assert (bad.state, bad.message) == (State.INVALID, "A byte is not what it was.")
    assert [r.generation for r in ledger.history(kept.path)] == [second, first]


def test_the_same_path_may_become_another_format_and_series(ledger: Ledger) -> None:
    """One path is one entry, whatever it turns out to be."""
    ledger.record_seen(_checkpoint(), generation(), State.PENDING)
    other = dataclasses.replace(_checkpoint(), format=Format.KERAS, series="other")
    entry = ledger.record_seen(other, generation(), State.PENDING)
    assert (entry.checkpoint.format, entry.checkpoint.series) == (Format.KERAS, "other")
    assert len(ledger.entries()) == 1


def test_only_what_is_valid_says_how_large_the_next_save_may_be(ledger: Ledger) -> None:
    """A file of 10 TiB in which nothing was written must not have the trash emptied for it."""
    ledger.record_report(report(_checkpoint(), generation(size=500)))
    for number, state in enumerate((State.WRITING, State.PENDING, State.INVALID), start=2):
        ledger.record_seen(_checkpoint(f"/w/ckpt-{number}"), generation(size=10 << 40), state)
    assert ledger.largest_bytes("w") == 500
    assert ledger.largest_bytes("other") == 0


def test_history_is_bounded(ledger: Ledger) -> None:
    """An overwritten `best.h5` does not fill the disk with reports."""
    for at in range(30):
        ledger.record_report(report(_checkpoint(), generation(1000 + at)))
    history = ledger.history("/w/ckpt-1")
    assert len(history) == 20
    assert history[0].generation == generation(1029)


def test_entries_come_newest_saved_first_and_can_be_chosen(ledger: Ledger) -> None:
    """What is gone or in the trash is left out unless its state is asked for."""
    for number, at in ((1, 3000.0), (2, 1000.0), (3, 2000.0), (4, 500.0)):
        ledger.record_report(report(_checkpoint(f"/w/ckpt-{number}"), generation(at)))
    ledger.record_seen(_checkpoint("/w/other", "other"), generation(100), State.PENDING)
    ledger.record_gone("/w/ckpt-4")
    assert [e.path[-1] for e in ledger.entries(series="ckpt-{}")] == ["1", "3", "2"]
    assert [e.path[-1] for e in ledger.entries("w", limit=2)] == ["1", "3"]
    assert [e.path for e in ledger.entries(states=[State.PENDING])] == ["/w/other"]
    assert [e.path for e in ledger.entries(states=[State.GONE])] == ["/w/ckpt-4"]
    assert ledger.entries("another") == []
    assert ledger.entries(states=[]) == []


def test_entries_can_be_those_inside_a_directory(ledger: Ledger) -> None:
    """Or at its path; a directory whose name only begins alike is another one."""
    for at, path in enumerate(("/w/a", "/w/a/1", "/w/a/b/\udcff", "/w/a0", "/w/a.h5", "/w/ab/1")):
        ledger.record_seen(_checkpoint(path), generation(1000.0 + at), State.PENDING)
    ledger.record_gone("/w/a/1")
    inside = ["/w/a/b/\udcff", "/w/a"]
    assert [e.path for e in ledger.entries(below=["/w/a"])] == inside
    assert [e.path for e in ledger.entries("w", below=["/x", "/w/a/"], limit=1)] == inside[:1]
    assert len(ledger.entries(below=["/"])) == 5
    assert ledger.entries("v", below=["/"]) == []


def test_recorded_paths_have_an_identity_only_where_a_verdict_stands(ledger: Ledger) -> None:
    """A restart verifies nothing again that has a verdict, and everything that has none."""
    ledger.record_report(report(_checkpoint("/w/done"), generation()))
    ledger.record_seen(_checkpoint("/w/waits"), generation(), State.PENDING)
    ledger.record_seen(_checkpoint("/w/odd"), generation(), State.UNKNOWN)
    ledger.record_seen(_checkpoint("/w/gone"), generation(), State.PENDING)
    ledger.record_gone("/w/gone")
    key = generation().key
    recorded = ledger.recorded_paths("w")
    assert all(0 <= path.seen_seconds < 60 for path in recorded.values())
    assert {p: dataclasses.replace(r, seen_seconds=0.0) for p, r in recorded.items()} == {
        "/w/done": RecordedPath(generation().identity, "ckpt-{}"),
        "/w/waits": RecordedPath("", "ckpt-{}", key),
        "/w/odd": RecordedPath(generation().identity, "ckpt-{}"),
    }
    assert ledger.counts() == {"w": {State.VALID: 1, State.PENDING: 1, State.UNKNOWN: 1}}


def test_the_last_valid_one_is_the_one_before(ledger: Ledger) -> None:
    """What a checkpoint is compared with was saved before it, or lay at its own path."""
    for number in (1, 2, 3):
        ledger.record_report(report(_checkpoint(f"/w/ckpt-{number}"), generation(1000.0 + number)))
    ledger.record_report(report(_checkpoint("/w/ckpt-4"), generation(1004), Verdict.INVALID))

    def before(path: str | None) -> str | None:
        found = ledger.last_valid("w", "ckpt-{}", path)
        return found.path if found else None

    assert before(None) == "/w/ckpt-3"
    assert before("/w/ckpt-4") == "/w/ckpt-3"
    assert before("/w/ckpt-2") == "/w/ckpt-1"
    assert before("/w/ckpt-1") is None
    assert before("/w/never-seen") == "/w/ckpt-3"


def test_an_overwritten_checkpoint_is_compared_with_what_it_was(ledger: Ledger) -> None:
    """A series of one path has its own past."""
    ledger.record_report(report(_checkpoint(), generation(1000), facts=Facts(digest="old")))
    ledger.record_seen(_checkpoint(), generation(2000), State.PENDING)
    found = ledger.last_valid("w", "ckpt-{}", "/w/ckpt-1")
    assert found is not None
    assert found.report is not None
    assert found.report.facts.digest == "old"


def test_a_verdict_is_carried_over_to_the_same_content(ledger: Ledger) -> None:
    """A chmod changes ctime and not content; other sizes or times are other content."""
    ledger.record_report(report(_checkpoint(), generation()))
    member = dataclasses.replace(generation().members[0], inode=99, ctime_ns=5)
    touched = Generation((member,))
    carried = ledger.carry_verdict_over("/w/ckpt-1", touched)
    assert carried is not None
    assert (carried.state, carried.generation) == (State.VALID, touched)
    other = Generation((dataclasses.replace(member, size=1),))
    assert ledger.carry_verdict_over("/w/ckpt-1", other) is None
    assert ledger.carry_verdict_over("/w/never-seen", touched) is None


def test_a_series_is_summed_up(ledger: Ledger) -> None:
    """The newest valid one counts even when something newer is not valid."""
    facts = Facts(step=7, weight_norm=2.5)
    before = time.time()
    ledger.record_report(report(_checkpoint("/w/ckpt-7", step=None), generation(1007), facts=facts))
    ledger.record_report(report(_checkpoint("/w/ckpt-8"), generation(1008), Verdict.INVALID))
    ledger.record_report(report(_checkpoint("/w/ckpt-6"), generation(1006)))
    ledger.record_gone("/w/ckpt-6")
    (summary,) = ledger.series()
    assert (summary.watch, summary.series) == ("w", "ckpt-{}")
    assert (summary.last_valid, summary.last_valid_step) == (1007, 7)
    assert summary.retained_bytes == 20
    assert before <= summary.last_seen <= time.time()
    assert summary.facts == summary_of(1, report(_checkpoint(), generation())).facts


def test_the_newest_reports_come_first(ledger: Ledger) -> None:
    """The status page shows what happened last, in any watch."""
    for name in "abc":
        ledger.record_report(report(_checkpoint(f"/w/{name}"), generation()))
    assert [e.path for e in ledger.last_reported(2)] == ["/w/c", "/w/b"]


def test_a_pruning_can_be_undone_in_the_ledger(ledger: Ledger) -> None:
    """What comes back from the trash has its verdict again; telling twice counts once."""
    ledger.record_report(report(_checkpoint(), generation()))
    for _ in range(2):
        ledger.record_trashed("/w/ckpt-1", rule="unclaimed", reason="no rule", item="i1", at=5.0)
    entry = ledger.entry("/w/ckpt-1")
    assert entry is not None
    assert entry.state is State.TRASHED
    (pruned,) = ledger.prunes("w")
    assert (pruned.rule, pruned.item, pruned.size_bytes, pruned.at) == ("unclaimed", "i1", 10, 5.0)
    ledger.record_restored("/w/ckpt-1", "i1")
    entry = ledger.entry("/w/ckpt-1")
    assert entry is not None
    assert entry.state is State.VALID
    assert ledger.prunes()[0].restored_at is not None


def test_a_reader_sees_what_a_writer_writes_and_cannot_write(
    ledger: Ledger, tmp_path: Path
) -> None:
    """`list` and `latest` work while the daemon does."""
    reader = Ledger.open(tmp_path, readonly=True)
    ledger.record_seen(_checkpoint(), generation(), State.PENDING)
    assert len(reader.entries()) == 1
    with pytest.raises(LedgerError, match="reading only"):
        reader.record_gone("/w/ckpt-1")
    with pytest.raises(LedgerError, match="reading only"):
        reader.pin("/w/ckpt-1")
    reader.close()


def test_a_reader_without_a_ledger_gets_a_sentence(tmp_path: Path) -> None:
    """Nobody has to know what SQLite says about a missing file."""
    with pytest.raises(LedgerError, match="There is no ledger"):
        Ledger.open(tmp_path, readonly=True)
    assert list(tmp_path.iterdir()) == []


def test_a_reader_finds_a_ledger_that_was_closed(tmp_path: Path) -> None:
    """A daemon that has stopped leaves no journal; the ledger is read all the same."""
    ledger = Ledger.open(tmp_path)
    ledger.record_seen(_checkpoint(), generation(), State.PENDING)
    ledger.close()
    reader = Ledger.open(tmp_path, readonly=True)
    assert [e.state for e in reader.entries()] == [State.PENDING]
    reader.close()


def test_ten_thousand_are_known_in_one_question(ledger: Ledger) -> None:
    """The start of a daemon asks its ledger once for all, and for its clock."""
    asked: list[str] = []
    row = ledger.record_seen(_checkpoint(), generation(), State.UNKNOWN).id
    ledger._connection.execute("BEGIN")
    ledger._connection.execute(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000) "
        "INSERT INTO checkpoints SELECT NULL, CAST('/w/many-' || i AS BLOB), watch, series, state, "
        "key, size, saved_at, first_seen, seen, sequence, checkpoint, generation, message, report, "
        "0 FROM checkpoints, n WHERE id = ?",
        (row,),
    )
    ledger._connection.execute("COMMIT")
    ledger._connection.set_trace_callback(asked.append)
    assert len(ledger.recorded_paths("w")) == 10_001
    assert len(asked) == 2
