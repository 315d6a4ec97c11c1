"""Tags are kept as pins are, and are no pins."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from checkpointd.ledger import ChangeKind, Ledger
from tests.helpers.ledger import record_verdict, write_file

if TYPE_CHECKING:
    from pathlib import Path


def _of(ledger: Ledger) -> set[tuple[str, str]]:
    return {one.key for one in ledger.tags()}


def test_a_checkpoint_carries_its_tags_and_is_not_pinned(tmp_path: Path) -> None:
    """They stay with the path; each change is noted for who plans."""
    ledger = Ledger.open(tmp_path)
    entry = record_verdict(ledger, write_file(tmp_path / "m-1.h5", 1000.0))
    assert entry.tags == frozenset()
    first = ledger.tag(entry.path, "prod")
    ledger.tag(entry.path, "eval")
    ledger.tag("/elsewhere", "prod")
    assert ledger.tag(entry.path, "prod") == first
    found = ledger.entry(entry.path)
    assert found is not None
    assert (found.tags, found.pinned) == ({"prod", "eval"}, False)
    assert ledger.pins() == []
    ledger.take_changes()
    assert ledger.untag(entry.path, "eval")
    assert [change.kind for change in ledger.take_changes()] == [ChangeKind.PINS]
    assert not ledger.untag(entry.path, "eval")
    assert _of(ledger) == {(entry.path, "prod"), ("/elsewhere", "prod")}


def test_pinning_and_tagging_do_not_undo_each_other(tmp_path: Path) -> None:
    """Neither now nor when the file is read again."""
    ledger = Ledger.open(tmp_path)
    ledger.tag("/w/a", "prod")
    ledger.pin("/w/a", "why")
    ledger.tag("/w/b", "prod")
    ledger.pin("/w/b")
    assert ledger.unpin("/w/a")
    assert ledger.untag("/w/b", "prod")
    ledger.close()
    (tmp_path / "ledger.sqlite").unlink()
    again = Ledger.open(tmp_path)
    assert _of(again) == {("/w/a", "prod")}
    assert [pin.path for pin in again.pins()] == ["/w/b"]


def test_tags_survive_a_lost_ledger_and_a_lost_file(tmp_path: Path) -> None:
    """Each of the two has all of them."""
    ledger = Ledger.open(tmp_path)
    ledger.tag("/w/\udcff", "prod")
    ledger.tag("/w/a", "größe")
    ledger.close()
    (tmp_path / "ledger.sqlite").write_bytes(b"broken")
    ledger = Ledger.open(tmp_path)
    assert _of(ledger) == {("/w/\udcff", "prod"), ("/w/a", "größe")}
    ledger.close()
    (tmp_path / "pins.jsonl").unlink()
    Ledger.open(tmp_path).close()
    (tmp_path / "ledger.sqlite").unlink()
    assert _of(Ledger.open(tmp_path)) == {("/w/\udcff", "prod"), ("/w/a", "größe")}


def test_tags_move_with_a_root_and_do_not_come_back(tmp_path: Path) -> None:
    """As pins do."""
    ledger = Ledger.open(tmp_path)
    ledger.begin_root("w", "/old", 1, 2)
    ledger.tag("/old/m.h5", "prod")
    ledger.tag("/old/m.h5", "eval")
    ledger.begin_root("w", "/new", 3, 4)
    copies = ledger.pins_below("/new")
    assert {one.key for one in copies} == {("/new/m.h5", "prod"), ("/new/m.h5", "eval")}
    assert len({one.identity for one in copies}) == 2
    assert ledger.untag("/new/m.h5", "eval")
    assert ledger.add_pins(copies) == []
    assert ("/new/m.h5", "eval") not in _of(ledger)


@pytest.mark.parametrize("text", ["a,b", "", "\\u001b"])
def test_a_line_with_what_is_no_tag_is_damaged(tmp_path: Path, text: str) -> None:
    """It is not taken over, and nothing else is lost."""
    ledger = Ledger.open(tmp_path)
    ledger.tag("/w/a", "prod")
    ledger.close()
    with (tmp_path / "pins.jsonl").open("a") as file:
        file.write(f'{{"op": "tag", "path": "/w/b", "tag": "{text}", "at": 1}}\n')
    assert _of(Ledger.open(tmp_path)) == {("/w/a", "prod")}
