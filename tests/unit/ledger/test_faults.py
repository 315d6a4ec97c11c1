"""What the ledger does when its file, its disk or its lock is not as it should be."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import secrets
import signal
import sqlite3
import time
from typing import TYPE_CHECKING

import pytest

from checkpointd.core.checkpoint import Checkpoint
from checkpointd.core.format_specs import Format
from checkpointd.ledger import Ledger, LedgerError, State, StateLock, opening, schema
from tests.helpers.ledger import generation, report

if TYPE_CHECKING:
    from pathlib import Path

NAME = "ledger.sqlite"


def _checkpoint(number: int = 1) -> Checkpoint:
    return Checkpoint(f"/w/ckpt-{number}", Format.HDF5, "w", "ckpt-{}", str(number), number)


def _filled(state_dir: Path, count: int = 40) -> Path:
    ledger = Ledger.open(state_dir)
    for number in range(count):
        ledger.record_report(report(_checkpoint(number), generation(1000.0 + number)))
    ledger.close()
    return state_dir / NAME


def test_a_full_disk_is_a_sentence_and_the_old_state_stays(tmp_path: Path) -> None:
    """A write that does not fit raises a clear error, and nothing that was known is lost."""
    ledger = Ledger.open(tmp_path)
    ledger.record_report(report(_checkpoint(), generation()))
    pages = ledger._connection.execute("PRAGMA page_count").fetchone()[0]
    ledger._connection.execute(f"PRAGMA max_page_count = {pages}")

    def fill() -> None:
        for number in range(2, 500):
            ledger.record_seen(_checkpoint(number), generation(), State.PENDING, "x" * 3000)

    with pytest.raises(LedgerError, match="disk is full, free some space"):
        fill()
    entry = ledger.entry("/w/ckpt-1")
    assert entry is not None
    assert entry.state is State.VALID
    ledger._connection.execute("PRAGMA max_page_count = 100000")
    assert ledger.record_seen(_checkpoint(999), generation(), State.PENDING).state is State.PENDING
    ledger.close()


@pytest.mark.parametrize("damage", ["zeroed", "rubbish", "truncated", "emptied"])
def test_a_broken_ledger_is_set_aside_and_made_anew(tmp_path: Path, damage: str) -> None:
    """Nothing is deleted, and retention can see that something was lost."""
    path = _filled(tmp_path)
    data = bytearray(path.read_bytes())
    if damage == "zeroed":
        data[4096:] = bytes(len(data) - 4096)
    elif damage == "rubbish":
        data = bytearray(b"no database at all" * 500)
    else:
        data = data[: 0 if damage == "emptied" else len(data) // 2]
    path.write_bytes(data)
    ledger = Ledger.open(tmp_path)
    assert ledger.entries() == []
    assert ledger.rebuilt
    assert ledger.unconfirmed("w")
    ledger.close()
    (aside,) = tmp_path.glob(f"{NAME}.broken-*")
    assert aside.read_bytes() == data


@pytest.mark.parametrize("victim", ["ledger", "journal too"])
def test_a_deleted_ledger_is_noticed(tmp_path: Path, victim: str) -> None:
    """The pins' file remembers that there was one."""
    path = _filled(tmp_path)
    path.unlink()
    if victim == "ledger":
        path.with_name(NAME + "-wal").write_bytes(b"left over")
    ledger = Ledger.open(tmp_path)
    assert ledger.rebuilt
    ledger.close()
    again = Ledger.open(tmp_path)
    assert again.rebuilt
    again.close()


def test_a_first_ledger_is_not_rebuilt(tmp_path: Path) -> None:
    """A fresh installation holds nothing up."""
    for _ in range(2):
        ledger = Ledger.open(tmp_path)
        assert not ledger.rebuilt
        assert not ledger.unconfirmed("w")
        ledger.close()


def test_a_flipped_bit_in_what_the_ledger_notes_about_itself_gives_a_new_one(
    tmp_path: Path,
) -> None:
    """Its identity is text; with such a bit it is none."""
    path = _filled(tmp_path)
    ledger = Ledger.open(tmp_path)
    identity = ledger.identity.encode()
    ledger.close()
    data = path.read_bytes()
    path.write_bytes(data.replace(identity, bytes([identity[0] ^ 0x80]) + identity[1:]))
    again = Ledger.open(tmp_path)
    assert again.rebuilt
    again.close()


def test_any_flipped_bit_gives_the_truth_or_a_new_ledger(tmp_path: Path) -> None:
    """Wherever a bit flips, nothing that was not reported is ever read as a verdict."""
    path = _filled(tmp_path)
    healthy = path.read_bytes()
    ledger = Ledger.open(tmp_path)
    truth = {e.path: e for e in ledger.entries()}
    ledger.close()
    seed = secrets.randbits(32)
    print(f"seed {seed}")  # noqa: T201 - to replay a failure
    chance = random.Random(seed)  # noqa: S311 - no secret
    for _ in range(60):
        for stale in tmp_path.glob(f"{NAME}*"):
            stale.unlink()
        data = bytearray(healthy)
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        path.write_bytes(data)
        try:
            ledger = Ledger.open(tmp_path)
        except LedgerError as error:
            assert "schema version" in str(error)  # noqa: PT017 - the one other answer
            continue
        for entry in ledger.entries():
            if entry.state is not State.PENDING:
                assert entry.generation == truth[entry.path].generation
                assert entry.checkpoint == truth[entry.path].checkpoint
                assert entry.report is not None
        ledger.close()


@pytest.mark.parametrize("bit", range(2, 8))
def test_a_header_that_forbids_writing_is_a_broken_ledger(tmp_path: Path, bit: int) -> None:
    """SQLite takes an unknown write version in byte 18 for a read-only file."""
    path = _filled(tmp_path)
    data = bytearray(path.read_bytes())
    data[18] ^= 1 << bit
    path.write_bytes(data)
    ledger = Ledger.open(tmp_path)
    assert ledger.rebuilt
    ledger.close()


def test_a_rebuilt_ledger_is_confirmed_once_all_was_verified_again(tmp_path: Path) -> None:
    """The hold ends once a person has accepted it and all is verified, watch by watch."""
    _filled(tmp_path).write_bytes(b"")
    ledger = Ledger.open(tmp_path)
    ledger.record_seen(_checkpoint(), generation(), State.PENDING)
    assert not ledger.confirm("w")
    assert ledger.unconfirmed("w")
    new = generation(time.time() + 60)
    ledger.record_seen(_checkpoint(2), new, State.WRITING)
    ledger.accept("w", {})
    assert not ledger.confirm("w")
    assert ledger.unverified_since_lost("w") == 1
    ledger.record_report(report(_checkpoint(), generation()))
    assert ledger.unconfirmed("w")
    assert ledger.confirm("w")
    assert not ledger.unconfirmed("w")
    assert ledger.unconfirmed("another")
    ledger.close()


def test_pins_survive_a_lost_ledger(tmp_path: Path) -> None:
    """A pin is a promise; an unpin is one too."""
    ledger = Ledger.open(tmp_path)
    ledger.record_seen(_checkpoint(), generation(), State.PENDING)
    ledger.pin("/w/ckpt-1", "the paper's")
    ledger.pin("/w/\udcff\n", "")
    ledger.pin("/w/ckpt-2", "")
    assert ledger.unpin("/w/ckpt-2")
    assert not ledger.unpin("/w/ckpt-2")
    entry = ledger.entry("/w/ckpt-1")
    assert entry is not None
    assert entry.pinned
    ledger.close()
    (tmp_path / NAME).write_bytes(b"broken")
    ledger = Ledger.open(tmp_path)
    assert {pin.path: pin.note for pin in ledger.pins()} == {
        "/w/ckpt-1": "the paper's",
        "/w/\udcff\n": "",
    }
    assert ledger.record_seen(_checkpoint(), generation(), State.PENDING).pinned
    ledger.close()


def test_a_lost_pins_file_is_written_again(tmp_path: Path) -> None:
    """Either of the two files is enough."""
    ledger = Ledger.open(tmp_path)
    ledger.pin("/w/ckpt-1")
    ledger.close()
    (tmp_path / "pins.jsonl").unlink()
    Ledger.open(tmp_path).close()
    (line,) = (tmp_path / "pins.jsonl").read_text().splitlines()
    assert json.loads(line)["path"] == "/w/ckpt-1"


def test_a_torn_line_of_the_pins_file_is_passed_over(tmp_path: Path) -> None:
    """A crash in the middle of a pin loses that pin alone, and the next one is whole."""
    ledger = Ledger.open(tmp_path)
    ledger.pin("/w/ckpt-1")
    ledger.close()
    with (tmp_path / "pins.jsonl").open("ab") as file:
        file.write(b'[1]\n\xff\xfe\n{"op": "pin", "path": "/w/ck')
    ledger = Ledger.open(tmp_path)
    ledger.pin("/w/ckpt-3")
    ledger.close()
    ledger = Ledger.open(tmp_path)
    assert {pin.path for pin in ledger.pins()} == {"/w/ckpt-1", "/w/ckpt-3"}
    ledger.close()


def test_a_newer_schema_is_not_touched(tmp_path: Path) -> None:
    """An older checkpointd leaves a newer one's ledger alone, and says so."""
    path = _filled(tmp_path)
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    for readonly in (True, False):
        with pytest.raises(LedgerError, match="schema version 99"):
            Ledger.open(tmp_path, readonly=readonly)
    assert not list(tmp_path.glob(f"{NAME}.broken-*"))


def test_a_migration_that_fails_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new schema is there whole or not at all."""
    path = _filled(tmp_path)
    steps = (*schema.MIGRATIONS, "CREATE TABLE more (x); SELECT * FROM nowhere;")
    monkeypatch.setattr(schema, "MIGRATIONS", steps)
    with pytest.raises(LedgerError, match="cannot be opened"):
        opening.open_writable(tmp_path, version=len(steps))
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA user_version").fetchone()[0] == len(steps) - 1
    names = {row[0] for row in connection.execute("SELECT name FROM sqlite_master")}
    assert "more" not in names
    connection.close()


def test_what_was_acknowledged_survives_kill_9(tmp_path: Path) -> None:
    """Whatever a method returned from is on disk, and the file is whole."""
    receiver, sender = multiprocessing.Pipe(duplex=False)
    child = os.fork()
    if child == 0:
        ledger = Ledger.open(tmp_path)
        for number in range(100_000):
            ledger.record_report(report(_checkpoint(number), generation(1000.0 + number)))
            sender.send(number)
    sender.close()
    acknowledged = [receiver.recv() for _ in range(30)]
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    while receiver.poll():
        try:
            acknowledged.append(receiver.recv())
        except EOFError:
            break
    receiver.close()
    ledger = Ledger.open(tmp_path)
    assert not ledger.rebuilt
    known = ledger.recorded_paths("w")
    assert all(known[f"/w/ckpt-{number}"] for number in acknowledged)
    ledger.close()


def test_two_daemons_cannot_share_a_state_directory(tmp_path: Path) -> None:
    """The error of the second names the process of the first."""
    with (
        StateLock(tmp_path),
        pytest.raises(LedgerError, match=rf"process {os.getpid()}.*another state_dir"),
    ):
        StateLock(tmp_path).acquire()
    with StateLock(tmp_path) as lock:
        lock.acquire()


def test_a_state_directory_that_is_none_is_a_sentence(tmp_path: Path) -> None:
    """A missing directory and a file in its place raise LedgerError with a sentence."""
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "missing", tmp_path / "file"):
        with pytest.raises(LedgerError):
            Ledger.open(place)
        with pytest.raises(LedgerError, match="cannot be used as the state directory"):
            StateLock(place).acquire()
