"""Which checkpoint is the newest valid one, and whether the disk still has it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from checkpointd.ledger import Ledger, State
from checkpointd.retention.newest_valid import by_series, has_current_verdict, newest_valid
from tests.helpers.ledger import entry, record_verdict, write_file

if TYPE_CHECKING:
    from pathlib import Path


def test_series_are_newest_first_and_can_be_chosen_by_label() -> None:
    """By save time, and by step where two were saved at the same moment."""
    entries = [
        entry(1, saved_at=10, step=2),
        entry(2, saved_at=10, step=3),
        entry(3, saved_at=20, step=0),
        entry(4, series="other"),
    ]
    groups = {key: [e.id for e in group] for key, group in by_series(entries).items()}
    assert groups == {("w", "ckpt-{}"): [3, 2, 1], ("w", "other"): [4]}
    assert list(by_series(entries, "other")) == [("w", "other")]


def test_only_what_is_valid_and_on_disk_as_it_was_verified_is_the_newest(tmp_path: Path) -> None:
    """A newer one that was overwritten or has shown too little does not count."""
    (tmp_path / "state").mkdir()
    ledger = Ledger.open(tmp_path / "state")
    first, second, third = (
        record_verdict(ledger, write_file(tmp_path / f"m-{n}.h5", 1000.0 + n)) for n in range(3)
    )
    ledger.close()
    newest_first = [third, second, first]
    assert newest_valid(newest_first, frozenset({"loads"})) == third
    (tmp_path / "m-2.h5").write_bytes(b"another save")
    assert newest_valid(newest_first, frozenset()) == second
    assert not has_current_verdict(third)
    (tmp_path / "m-1.h5").unlink()
    assert newest_valid(newest_first, frozenset()) == first
    assert newest_valid(newest_first, frozenset({"resumes"})) is None
    assert has_current_verdict(first)
    assert not has_current_verdict(replace(first, state=State.PENDING))
    assert not has_current_verdict(None)
