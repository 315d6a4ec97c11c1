"""What a root holds about itself: pins and records, in real directories and processes."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
import stat
import subprocess
import time
from pathlib import Path

import pytest

from checkpointd.config import WatchSettings
from checkpointd.ledger import Ledger
from checkpointd.retention.watch_plan import plan_watch
from tests.helpers.ledger import generation_on_disk
from tests.helpers.retention import POLICY, Field
from tests.helpers.roots import RECORDS, another_ledger, doubts, keeper, synchronize


def test_nothing_is_written_without_enforce(field: Field) -> None:
    """The one thing that may be written into a root is written by who removes there."""
    field.write("file", 2)
    field.ledger.pin(str(field.root / "ckpt-0"))
    assert doubts(synchronize(keeper(field), enforce=False)) == set()
    assert not (field.root / RECORDS).exists()
    synchronize(keeper(field))
    assert sorted(os.listdir(field.root / RECORDS)) == ["ledger.json", "lock", "pins.json"]


def test_an_empty_root_is_left_alone(field: Field) -> None:
    """It may be a mount point whose disk is not mounted."""
    assert doubts(synchronize(keeper(field))) == set()
    assert os.listdir(field.root) == []


def test_pins_are_found_again_with_a_new_state_directory(field: Field) -> None:
    """Also after the root was renamed; and pruning waits for a person."""
    field.write("file", 4)
    field.ledger.pin(str(field.root / "ckpt-0"), "prod")
    synchronize(keeper(field))
    moved = field.root.with_name("moved")
    field.root.rename(moved)
    field.root = moved
    new = another_ledger(field)
    found = synchronize(keeper(field, new), enforce=False)
    assert [(p.path, p.note) for p in new.pins()] == [(str(moved / "ckpt-0"), "prod")]
    assert doubts(found) == {"rebuilt"}
    assert "another ledger" in found.rebuilt
    keeper(field, new).accept()
    assert doubts(synchronize(keeper(field, new))) == set()
    assert doubts(synchronize(keeper(field))) == {"rebuilt"}


def test_a_pin_is_removed_in_both_places(field: Field) -> None:
    """Also when the copy could not be written meanwhile."""
    field.write("file", 3)
    path = str(field.root / "ckpt-0")
    field.ledger.pin(path)
    synchronize(keeper(field))
    field.ledger.unpin(path)
    assert doubts(synchronize(keeper(field))) == set()
    assert field.ledger.pins() == []
    assert json.loads((field.root / RECORDS / "pins.json").read_bytes())["pins"] == []


def test_a_copy_that_has_more_adds_to_the_pins(field: Field) -> None:
    """Two that disagree are united; a pin whose file is gone stays a pin."""
    field.write("file", 3)
    for name in ("ckpt-0", "gone"):
        field.ledger.pin(str(field.root / name))
    synchronize(keeper(field))
    new = another_ledger(field)
    new.pin(str(field.root / "ckpt-1"))
    synchronize(keeper(field, new))
    assert {Path(p.path).name for p in new.pins()} == {"ckpt-0", "ckpt-1", "gone"}


@pytest.mark.parametrize("name", ["pins.json", "ledger.json"])
@pytest.mark.parametrize("damage", [b"", b"{", b'{"version": 1, "checksum": "x"}', b"\xff" * 64])
def test_a_damaged_file_holds_until_it_is_accepted(field: Field, name: str, damage: bytes) -> None:
    """Nobody knows what it said."""
    field.write("file", 3)
    synchronize(keeper(field))
    (field.root / RECORDS / name).write_bytes(damage)
    found = synchronize(keeper(field))
    assert doubts(found) == {"pins" if name == "pins.json" else "rebuilt"}
    assert (field.root / RECORDS / name).read_bytes() == damage
    keeper(field).accept()
    assert doubts(synchronize(keeper(field))) == set()
    assert (field.root / RECORDS / name).read_bytes() != damage


def test_a_flipped_bit_in_the_pins_is_noticed(field: Field) -> None:
    """A path with another letter protects another file."""
    field.write("file", 3)
    field.ledger.pin(str(field.root / "ckpt-0"))
    synchronize(keeper(field))
    file = field.root / RECORDS / "pins.json"
    file.write_bytes(file.read_bytes().replace(b"ckpt-0", b"ckpt-1"))
    assert doubts(synchronize(keeper(field))) == {"pins"}
    assert [Path(p.path).name for p in field.ledger.pins()] == ["ckpt-0"]


def test_a_path_out_of_the_root_is_no_pin(field: Field) -> None:
    """A user who may write into the root cannot pin anything elsewhere."""
    field.write("file", 3)
    field.ledger.pin(str(field.root / "ckpt-0"))
    kept = keeper(field)
    synchronize(kept)
    from checkpointd.retention.root import record_file

    with record_file.opened_records(os.open(field.root, os.O_RDONLY)) as records_fd:
        bad = {"pins": [{"id": "x", "path": "../outside", "note": "", "at": 1.0}]}
        record_file.write(records_fd, "pins.json", bad, lambda _: None)
    assert doubts(synchronize(keeper(field))) == {"pins"}


def test_who_may_remove_the_root_may_remove_its_records(field: Field) -> None:
    """Owner and mode are those of the root, as far as the daemon may set them."""
    field.write("file", 2)
    field.root.chmod(0o2775)
    if os.geteuid() == 0:
        os.chown(field.root, 12345, 12345)
    synchronize(keeper(field))
    root, made = field.root.stat(), (field.root / RECORDS).stat()
    assert (made.st_uid, made.st_gid) == (root.st_uid, root.st_gid)
    assert stat.S_IMODE(made.st_mode) == 0o2775
    for file in (field.root / RECORDS).iterdir():
        assert file.stat().st_uid == root.st_uid
        assert stat.S_IMODE(file.stat().st_mode) == 0o664


def test_a_link_in_the_place_of_the_records_is_not_followed(field: Field, tmp_path: Path) -> None:
    """Nobody gets a file written elsewhere."""
    field.write("file", 2)
    (tmp_path / "outside").mkdir()
    (field.root / RECORDS).symlink_to(tmp_path / "outside")
    assert doubts(synchronize(keeper(field))) == {"pins"}
    assert os.listdir(tmp_path / "outside") == []


def test_the_records_may_be_removed_at_any_time(field: Field) -> None:
    """They are written again, and the lock is taken on the new file."""
    field.write("file", 2)
    field.ledger.pin(str(field.root / "ckpt-0"))
    kept = keeper(field)
    synchronize(kept)
    shutil.rmtree(field.root / RECORDS)
    assert doubts(synchronize(kept)) == set()
    assert sorted(os.listdir(field.root / RECORDS)) == ["ledger.json", "lock", "pins.json"]


def test_copies_are_complete_after_a_kill_at_any_step(tmp_path: Path) -> None:
    """The old one or the new one, never a doubt; the next start writes what is missing."""
    for number in itertools.count(1):
        top = tmp_path / str(number)
        top.mkdir()
        field = Field(top)
        field.write("file", 3)
        field.ledger.pin(str(field.root / "ckpt-0"))
        synchronize(keeper(field))
        field.ledger.pin(str(field.root / "ckpt-1"))
        field.ledger.close()
        child = os.fork()
        if child == 0:
            code = 70
            try:
                kept = keeper(field, Ledger.open(top / "state"))
                _die_at(number)
                synchronize(kept)
                code = 0
            finally:
                os._exit(code)
        _, status = os.waitpid(child, 0)
        new = another_ledger(field)
        found = synchronize(keeper(field, new), enforce=False)
        assert doubts(found) == {"rebuilt"}, number
        assert {Path(p.path).name for p in new.pins()} >= {"ckpt-0"}
        field.ledger = Ledger.open(top / "state")
        assert doubts(synchronize(keeper(field))) == set(), number
        assert len(json.loads((field.root / RECORDS / "pins.json").read_bytes())["pins"]) == 2
        if os.WIFEXITED(status):
            assert os.WEXITSTATUS(status) == 0
            assert number > 8
            return
        assert os.WTERMSIG(status) == signal.SIGKILL


def _die_at(number: int) -> None:
    """Have this process killed at its `number`-th change of the file system from now on."""
    count = itertools.count(1)
    for name in ("mkdir", "rename", "unlink", "fsync", "write", "pwrite", "ftruncate", "fchmod"):
        original = getattr(os, name)

        def counted(*args: object, _call=original, **keys: object) -> object:  # type: ignore[no-untyped-def] # noqa: ANN001
            if next(count) == number:
                os.kill(os.getpid(), signal.SIGKILL)
            return _call(*args, **keys)

        setattr(os, name, counted)


def test_a_read_only_root_is_a_sentence_and_no_failure(field: Field) -> None:
    """Nothing can be removed there; the pins are in the ledger alone."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount")
    field.write("file", 2)
    mounted = subprocess.run(
        ["mount", "--bind", str(field.root), str(field.root)], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip("mounting is not permitted here")
    try:
        options = ["mount", "-o", "remount,ro,bind", str(field.root)]
        subprocess.run(options, check=True, capture_output=True)
        kept = keeper(field)
        assert doubts(synchronize(kept)) == set()
        assert "Read-only file system" in kept.problem
    finally:
        subprocess.run(["umount", str(field.root)], check=True)


def test_the_same_size_and_time_is_not_the_same_content(field: Field) -> None:
    """A copy over a checkpoint fills no slot until it was compared."""
    field.write("file", 4)
    path = field.root / "ckpt-3"
    times = path.stat().st_mtime_ns
    path.write_bytes(b"WEIGHTS")
    os.utime(path, ns=(times, times))
    known = field.ledger.entry(str(path))
    assert known is not None
    assert generation_on_disk(str(path), [""]).key == known.generation.key
    watch = WatchSettings(name="w", path=field.root, retention=POLICY)
    planned = plan_watch(field.ledger, watch, time.time())
    assert {Path(d.entry.path).name for d in planned.removals} == {"ckpt-0"}
