"""Summaries of reports: the same facts as in the reports, whichever version wrote the ledger."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from checkpointd.core.checkpoint import Checkpoint
from checkpointd.core.format_specs import Format
from checkpointd.core.report import Facts
from checkpointd.core.verdict import Verdict
from checkpointd.ledger import Entry, Ledger, State, opening
from checkpointd.ledger.public import public_entry
from checkpointd.ledger.summaries import summary_of
from tests.helpers.ledger import generation, report

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from checkpointd.core.report import Report

_BEFORE = 9
"""The version of the schema that had no summaries."""


def _reports() -> list[Report]:
    chance = random.Random(4)  # noqa: S311 - no secret
    found = []
    for i in range(20):
        checkpoint = Checkpoint(f"/w/\udcff{i}", Format.KERAS, "w", "s-{}", str(i), i or None)
        facts = Facts(
            format=Format.KERAS,
            writer="Keras 3",
            step=chance.choice([None, 2**64 - 1, i]),
            metrics=chance.choice([{}, {"loss": float("nan"), "a\udcff": 1 / 3}]),
            evaluation=chance.choice([{}, {"acc": 0.1 + 0.2}]),
            evaluated_by=chance.choice(["", "e"]),
            tensors_digest=chance.choice(["", "t"]),
            model_digest="m",
            weight_norm=chance.choice([None, 1e300]),
            non_finite_values=chance.choice([0, 7]),
        )
        made = report(checkpoint, generation(1000 + i), chance.choice([*Verdict]), facts=facts)
        found.append(replace(made, message="\udcff\n", settings_digest=chance.choice("dx")))
    return found


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """A ledger with some reports."""
    ledger = Ledger.open(tmp_path)
    for one in _reports():
        ledger.record_report(one)
    yield ledger
    ledger.close()


def _with_whole_reports(ledger: Ledger) -> list[Entry]:
    return [found for e in ledger.entries() if (found := ledger.entry(e.path)) is not None]


def _assert_same(ledger: Ledger) -> None:
    whole = _with_whole_reports(ledger)
    for listed, one in zip(ledger.entries(), whole, strict=True):
        assert one.whole_report is not None
        assert listed.whole_report is None
        number = ledger._rows("SELECT report FROM checkpoints WHERE id = ?", (one.id,))[0][0]
        assert repr(listed.report) == repr(summary_of(number, one.whole_report))
        assert repr(replace(listed, report=None)) == repr(replace(one, report=None))
        assert repr(public_entry(listed)) == repr(public_entry(one))
        assert repr(ledger.report_of(listed)) == repr(one.whole_report)


def test_a_list_says_what_the_reports_say(ledger: Ledger) -> None:
    """To the last digit, also of what is not Unicode, not finite, or larger than an integer."""
    _assert_same(ledger)


def test_a_ledger_of_an_older_version_says_the_same_before_and_after_its_upgrade(
    tmp_path: Path,
) -> None:
    """Summaries are added a few at a time; readers meanwhile get the reports' own."""
    connection, _ = opening.open_writable(tmp_path, version=_BEFORE)
    connection.close()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("checkpointd.ledger.store.open_writable", _old)
        patch.setattr("checkpointd.ledger.summaries.INSERT", "SELECT " + ", ".join("?" * 11))
        old = Ledger.open(tmp_path)
        for one in _reports():
            old.record_report(one)
        old.close()
    ledger = Ledger.open(tmp_path)
    assert not ledger._rows("SELECT * FROM summaries")
    _assert_same(ledger)
    assert [ledger.add_summaries(8) for _ in range(4)] == [8, 8, 4, 0]
    assert len(ledger._rows("SELECT * FROM summaries")) == len(_reports())
    _assert_same(ledger)
    ledger.close()


def _old(state_dir: Path) -> tuple[object, bool]:
    return opening.open_writable(state_dir, version=_BEFORE)


def test_a_damaged_summary_is_not_believed(ledger: Ledger) -> None:
    """The report itself is read in its place."""
    ledger._connection.execute("UPDATE summaries SET verdict = 'valid', shown = '[\"loads\"]'")
    _assert_same(ledger)


def test_a_damaged_report_without_a_summary_leaves_no_verdict(ledger: Ledger) -> None:
    """It is verified again."""
    ledger._connection.execute("DELETE FROM summaries")
    ledger._connection.execute("UPDATE reports SET body = x'00'")
    ledger._reports._reports.clear()
    assert {entry.state for entry in ledger.entries()} == {State.PENDING}
    assert ledger.add_summaries(100) == len(_reports())
    assert not ledger._rows("SELECT * FROM summaries")


def test_what_may_have_another_verdict_now_is_found_without_reading_reports(
    ledger: Ledger,
) -> None:
    """Everything that is not valid under other settings, and what can be loaded only now."""

    def paths(settings: str, *, loadable: bool) -> set[str]:
        found: list[Entry] = []
        while True:
            after = found[-1] if found else None
            more = ledger.verdicts_to_check(
                "w", settings, ("nan",), loadable=loadable, after=after, limit=3
            )
            if not more:
                assert found == sorted(found, key=lambda e: (-e.saved_at, -e.id))
                return {entry.path for entry in found}
            found += more

    made = {one.checkpoint.path: one for one in _reports()}
    others = {p for p, r in made.items() if r.settings_digest != "d"}
    bad = {p for p in others if made[p].verdict is not Verdict.VALID}
    assert paths("d", loadable=True) == bad
    ledger.record_report(replace(made["/w/\udcff1"], reason="finite.nan", settings_digest="d"))
    ledger.record_report(
        replace(made["/w/\udcff2"], verdict=Verdict.VALID, shown=("intact",), settings_digest="x")
    )
    always, unloaded = {"/w/\udcff1"}, {"/w/\udcff2"}
    assert paths("d", loadable=True) == bad | always | unloaded
    assert paths("d", loadable=False) == (bad | always) - unloaded
