"""Pins that move with their root, and what a ledger knows about its own history."""

from __future__ import annotations

from typing import TYPE_CHECKING

from checkpointd.core.report import Facts
from checkpointd.core.verdict import Verdict
from checkpointd.ledger import ChangeKind, Ledger, Pin, Pruned, State
from checkpointd.ledger.facts import Earlier, first_saved_at
from tests.helpers.ledger import record_verdict, report, write_file

if TYPE_CHECKING:
    from pathlib import Path

    from checkpointd.ledger import Entry


def test_pins_move_with_a_root_that_has_another_path(tmp_path: Path) -> None:
    """By the watch's name, or by the directory itself; the old ones stay."""
    ledger = Ledger.open(tmp_path)
    ledger.begin_root("w", "/old", 1, 2)
    ledger.pin("/old/run/m.h5", "prod")
    ledger.pin("/older/m.h5")
    (moved,) = ledger.begin_root("w", "/new", 3, 4)
    assert (moved.path, moved.note) == ("/new/run/m.h5", "prod")
    (again,) = ledger.begin_root("renamed", "/newest", 3, 4)
    assert again.path == "/newest/run/m.h5"
    assert ledger.begin_root("w", "/new", 3, 4) == []
    assert {pin.path for pin in ledger.pins()} == {
        "/old/run/m.h5",
        "/older/m.h5",
        "/new/run/m.h5",
        "/newest/run/m.h5",
    }


def test_a_pin_that_was_removed_does_not_come_back_from_a_copy(tmp_path: Path) -> None:
    """Neither from the root's, nor from where the root was; a new pin is another one."""
    ledger = Ledger.open(tmp_path)
    ledger.begin_root("w", "/old", 1, 2)
    ledger.pin("/old/m.h5")
    (copy,) = ledger.begin_root("w", "/new", 1, 2)
    assert ledger.unpin("/new/m.h5")
    assert ledger.add_pins([copy]) == []
    ledger.begin_root("w", "/old", 1, 2)
    assert ledger.begin_root("w", "/new", 1, 2) == []
    ledger.close()
    (tmp_path / "ledger.sqlite").unlink()
    rebuilt = Ledger.open(tmp_path)
    assert rebuilt.add_pins([copy]) == []
    assert rebuilt.pin("/new/m.h5").identity != copy.identity
    assert rebuilt.add_pins([Pin("/new/other.h5", "", 1.0)])


def test_pins_of_an_earlier_version_keep_one_identity(tmp_path: Path) -> None:
    """It follows from path and time, in the file and in the ledger."""
    (tmp_path / "pins.jsonl").write_text(
        '{"op": "pin", "path": "/w/a.h5", "note": "x", "at": 12.5}\n'
    )
    (pin,) = Ledger.open(tmp_path).pins()
    assert pin.identity == Pin("/w/a.h5", "x", 12.5).identity


def test_a_damaged_line_of_the_pins_loses_no_other(tmp_path: Path) -> None:
    """A ledger that is whole writes it again."""
    ledger = Ledger.open(tmp_path)
    for name in ("a", "b", "c"):
        ledger.pin(f"/w/{name}.h5")
    ledger.close()
    file = tmp_path / "pins.jsonl"
    file.write_bytes(file.read_bytes().replace(b"/w/b.h5", b"/w/x.h5"))
    again = Ledger.open(tmp_path)
    assert {pin.path for pin in again.pins()} == {"/w/a.h5", "/w/b.h5", "/w/c.h5"}
    again.close()
    (tmp_path / "ledger.sqlite").unlink()
    rebuilt = Ledger.open(tmp_path)
    assert {pin.path for pin in rebuilt.pins()} == {"/w/a.h5", "/w/b.h5", "/w/c.h5"}


def test_two_ledgers_differ_and_one_that_is_opened_again_does_not(tmp_path: Path) -> None:
    """Its progress only rises, also when rows are deleted."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    ledger, other = Ledger.open(tmp_path / "a"), Ledger.open(tmp_path / "b")
    assert ledger.identity != other.identity
    before = ledger.progress
    entry = record_verdict(ledger, write_file(tmp_path / "m.h5", 1000.0))
    assert ledger.progress > before
    before = ledger.progress
    ledger.record_gone(entry.path)
    ledger.close()
    again = Ledger.open(tmp_path / "a")
    assert again.identity == ledger_identity(tmp_path / "a")
    assert again.progress >= before


def ledger_identity(state: Path) -> str:
    """The id as a reader gets it."""
    return Ledger.open(state, readonly=True).identity


def test_what_must_be_read_again_ends_with_a_scrub_or_a_report(tmp_path: Path) -> None:
    """Until then each counts; what is gone does not."""
    ledger = Ledger.open(tmp_path)
    entries = [
        record_verdict(ledger, write_file(tmp_path / "w" / f"m-{n}.h5", 1000.0 + n))
        for n in range(4)
    ]
    assert ledger.unread("w") == 0
    assert ledger.mark_unread("w", "ledger.json", "d") == 4
    assert ledger.accepted("w", "ledger.json") == "d"
    ledger.take_changes()
    ledger.record_scrub(entries[0].path, entries[0].generation)
    assert [change.kind for change in ledger.take_changes()] == [ChangeKind.VERDICT]
    ledger.record_scrub(entries[0].path, entries[0].generation)
    assert ledger.take_changes() == []
    ledger.record_gone(entries[1].path)
    assert ledger.unread("w") == 2
    found = ledger.next_unread("w")
    assert found is not None
    assert (found.path, found.state) == (entries[2].path, State.VALID)
    for entry in entries[2:]:
        record_verdict(ledger, (entry.checkpoint, entry.generation), Verdict.INVALID)
    assert ledger.next_unread("w") is None


def test_items_of_a_trash_are_known_once_they_are_accepted(tmp_path: Path) -> None:
    """By the records of what was pruned."""
    ledger = Ledger.open(tmp_path)
    assert ledger.unknown_items(["a", "b"]) == {"a", "b"}
    ledger.accept("w", {}, [Pruned("/w/m.h5", "w", 1.0, "unclaimed", "old", 3, "a")])
    assert ledger.unknown_items(["a", "b"]) == {"b"}


def test_content_that_was_at_the_path_before_is_known_to_be_copied_back(tmp_path: Path) -> None:
    """Whatever save time the copy has; other content at the path is a new save."""
    ledger = Ledger.open(tmp_path)
    path = tmp_path / "m-1.h5"

    def save(at: float, digest: str) -> Entry:
        saved = write_file(path, at)
        ledger.record_seen(*saved, State.PENDING)
        facts = Facts(digest=digest)
        return ledger.record_report(report(*saved, facts=facts))

    assert save(1000.0, "a").original is None
    ledger.record_gone(str(path))
    copied = save(5000.0, "a")
    assert copied.saved_at == 5000.0
    assert copied.content_saved_at == 1000.0
    assert copied.before == (Earlier(1000.0, 1),)
    assert copied.original == Earlier(1000.0, 1)
    assert save(6000.0, "b").original is None
    assert save(7000.0, "").original is None
    last = save(8000.0, "b")
    assert last.original == Earlier(6000.0, 3)
    assert last.before == (Earlier(1000.0, 1), Earlier(6000.0, 3), Earlier(7000.0, 4))
    ledger.record_gone(str(path))
    (departed,) = ledger.departed("w")
    assert departed.original == Earlier(6000.0, 3)
    assert departed.before == last.before


def test_a_save_time_that_was_corrected_counts(tmp_path: Path) -> None:
    """A copy without its time, then `touch -d`: the first time at the path was the wrong one."""
    assert first_saved_at(1000.0, Earlier(5000.0, 1)) == 1000.0
    assert first_saved_at(5000.0, Earlier(1000.0, 1)) == 1000.0
    assert first_saved_at(0.0, Earlier(1000.0, 1)) == 1000.0
    assert first_saved_at(0.0, None) == 0.0
    ledger = Ledger.open(tmp_path)
    for at in (5000.0, 1000.0):
        saved = write_file(tmp_path / "m-2.h5", at)
        entry = ledger.record_report(report(*saved, facts=Facts(digest="a")))
    assert entry.original == Earlier(5000.0, 1)
    assert entry.content_saved_at == 1000.0


def test_content_that_two_versions_have_in_common_proves_nothing(tmp_path: Path) -> None:
    """A model that does not learn: what is written over with it is a new save."""
    ledger = Ledger.open(tmp_path)

    def save(name: str, at: float) -> Entry:
        saved = write_file(tmp_path / name, at)
        ledger.record_seen(*saved, State.PENDING)
        return ledger.record_report(report(*saved, facts=Facts(digest="same")))

    save("m-1.h5", 1000.0)
    save("m-2.h5", 2000.0)
    again = save("m-1.h5", 3000.0)
    assert again.original is None
    assert again.before == (Earlier(1000.0, 1),)
    last = save("m-1.h5", 4000.0)
    assert last.before == (Earlier(1000.0, 1), Earlier(3000.0, 3))
