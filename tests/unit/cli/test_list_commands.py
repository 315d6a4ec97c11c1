"""`checkpointd list`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from checkpointd.cli import list_commands
from checkpointd.cli.list_view import by_series, show_list
from checkpointd.ledger import State
from checkpointd.ledger.public import public_entry
from tests.helpers.ledger import entry
from tests.helpers.plans import HOUR, NOW

if TYPE_CHECKING:
    import pytest


def test_it_lists_every_state_of_what_is_at_its_path() -> None:
    """The words are written out there, so that `--help` does not import the ledger."""
    elsewhere = {State.TRASHED, State.GONE, State.UNKNOWN}
    assert list(list_commands._STATES) == [s for s in State if s not in elsewhere]


def test_the_newest_run_of_a_series_comes_first_and_its_last_step() -> None:
    """A job that diverged at step 13 and was started again from step 7 is at step 9 now."""
    steps = (6, 7, 12, 13, 8, 9)
    entries = [
        entry(
            i,
            step=step,
            saved_at=NOW - (9 - i) * HOUR,
            seen=NOW - (9 - i) * HOUR,
            sequence=i,
            state=State.INVALID if step == 13 else State.VALID,
        )
        for i, step in enumerate(steps, 1)
    ]
    shown = by_series(entries[::-1], NOW)
    assert [one.step for one in shown] == [9, 8, 13, 12, 7, 6]


def test_it_shows_what_is_copied(capsys: pytest.CaptureFixture[str]) -> None:
    """Beside the verdict."""
    plain = public_entry(entry(1))
    show_list([{**plain, "copy": None}, {**plain, "pinned": True, "copy": "s3://b/ckpt-1"}])
    lines = capsys.readouterr().out.splitlines()
    assert "copied" not in lines[1]
    assert "valid pinned copied" in lines[2]


def test_it_shows_what_has_a_golden_record(capsys: pytest.CaptureFixture[str]) -> None:
    """Beside what was shown, in no column of its own."""
    plain = public_entry(entry(1))
    show_list([plain, {**plain, "shown": ["intact"], "golden": True}])
    lines = capsys.readouterr().out.splitlines()
    assert "golden" not in lines[1]
    assert "intact, golden" in lines[2]
    assert plain["golden"] is False
