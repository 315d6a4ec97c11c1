"""What a root holds about itself: pins, its ledger, a lock; in real directories and processes."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import textwrap
import time
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from checkpointd.config import WatchSettings
from checkpointd.ledger import Ledger
from checkpointd.retention import Pruner
from checkpointd.retention.root import RootDoubts, RootKeeper
from checkpointd.retention.trash import trash_place
from checkpointd.retention.watch_plan import plan_watch
from tests.helpers.ledger import generation_on_disk, record_verdict, write_file
from tests.helpers.retention import POLICY, Field, limits

if TYPE_CHECKING:
    from collections.abc import Iterator

RECORDS = ".checkpointd"


def keeper(field: Field, ledger: Ledger | None = None) -> RootKeeper:
    """A keeper of a root, as a process that has just started makes it."""
    return RootKeeper("w", trash_place(str(field.root)), ledger or field.ledger)


def look(kept: RootKeeper, *, enforce: bool = True) -> RootDoubts:
    """One round."""
    with kept.locked(enforce=enforce) as holder:
        return kept.look(holder, enforce=enforce)


def doubts(found: RootDoubts) -> set[str]:
    """The names of what is doubtful."""
    return {one.name for one in fields(found) if getattr(found, one.name)}


def another_ledger(field: Field, name: str = "other") -> Ledger:
    """The ledger of a state directory that is new."""
    state = field.root.parent / name
    state.mkdir()
    return Ledger.open(state)


def known_again(field: Field, ledger: Ledger) -> None:
    """Record in a new ledger what is on disk, as a daemon does that verifies it again."""
    for entry in reversed(field.ledger.entries("w")):
        record_verdict(ledger, (entry.checkpoint, entry.generation))


def test_nothing_is_written_without_enforce(field: Field) -> None:
    """The one thing that may be written into a root is written by who removes there."""
    field.write("file", 2)
    field.ledger.pin(str(field.root / "ckpt-0"))
    assert doubts(look(keeper(field), enforce=False)) == set()
    assert not (field.root / RECORDS).exists()
    look(keeper(field))
    assert sorted(os.listdir(field.root / RECORDS)) == ["ledger.json", "lock", "pins.json"]


def test_an_empty_root_is_left_alone(field: Field) -> None:
    """It may be a mount point whose disk is not mounted."""
    assert doubts(look(keeper(field))) == set()
    assert os.listdir(field.root) == []


def test_pins_are_found_again_with_a_new_state_directory(field: Field) -> None:
    """Also after the root was renamed; and pruning waits for a person."""
    field.write("file", 4)
    field.ledger.pin(str(field.root / "ckpt-0"), "prod")
    look(keeper(field))
    moved = field.root.with_name("moved")
    field.root.rename(moved)
    field.root = moved
    new = another_ledger(field)
    found = look(keeper(field, new), enforce=False)
    assert [(p.path, p.note) for p in new.pins()] == [(str(moved / "ckpt-0"), "prod")]
    assert doubts(found) == {"rebuilt"}
    assert "another ledger" in found.rebuilt
    keeper(field, new).accept()
    assert doubts(look(keeper(field, new))) == set()
    assert doubts(look(keeper(field))) == {"rebuilt"}


def test_a_pin_is_removed_in_both_places(field: Field) -> None:
    """Also when the copy could not be written meanwhile."""
    field.write("file", 3)
    path = str(field.root / "ckpt-0")
    field.ledger.pin(path)
    look(keeper(field))
    field.ledger.unpin(path)
    assert doubts(look(keeper(field))) == set()
    assert field.ledger.pins() == []
    assert json.loads((field.root / RECORDS / "pins.json").read_bytes())["pins"] == []


def test_a_copy_that_has_more_adds_to_the_pins(field: Field) -> None:
    """Two that disagree are united; a pin whose file is gone stays a pin."""
    field.write("file", 3)
    for name in ("ckpt-0", "gone"):
        field.ledger.pin(str(field.root / name))
    look(keeper(field))
    new = another_ledger(field)
    new.pin(str(field.root / "ckpt-1"))
    look(keeper(field, new))
    assert {Path(p.path).name for p in new.pins()} == {"ckpt-0", "ckpt-1", "gone"}


@pytest.mark.parametrize("name", ["pins.json", "ledger.json"])
@pytest.mark.parametrize("damage", [b"", b"{", b'{"version": 1, "checksum": "x"}', b"\xff" * 64])
def test_a_damaged_file_holds_until_it_is_accepted(field: Field, name: str, damage: bytes) -> None:
    """Nobody knows what it said."""
    field.write("file", 3)
    look(keeper(field))
    (field.root / RECORDS / name).write_bytes(damage)
    found = look(keeper(field))
    assert doubts(found) == {"pins" if name == "pins.json" else "rebuilt"}
    assert (field.root / RECORDS / name).read_bytes() == damage
    keeper(field).accept()
    assert doubts(look(keeper(field))) == set()
    assert (field.root / RECORDS / name).read_bytes() != damage


def test_a_flipped_bit_in_the_pins_is_noticed(field: Field) -> None:
    """A path with another letter protects another file."""
    field.write("file", 3)
    field.ledger.pin(str(field.root / "ckpt-0"))
    look(keeper(field))
    file = field.root / RECORDS / "pins.json"
    file.write_bytes(file.read_bytes().replace(b"ckpt-0", b"ckpt-1"))
    assert doubts(look(keeper(field))) == {"pins"}
    assert [Path(p.path).name for p in field.ledger.pins()] == ["ckpt-0"]


def test_a_path_out_of_the_root_is_no_pin(field: Field) -> None:
    """Whoever may write into the root pins nothing elsewhere."""
    field.write("file", 3)
    field.ledger.pin(str(field.root / "ckpt-0"))
    kept = keeper(field)
    look(kept)
    from checkpointd.retention.root import record_file

    with record_file.opened_records(os.open(field.root, os.O_RDONLY)) as records_fd:
        bad = {"pins": [{"id": "x", "path": "../outside", "note": "", "at": 1.0}]}
        record_file.write(records_fd, "pins.json", bad, lambda _: None)
    assert doubts(look(keeper(field))) == {"pins"}


def test_an_older_ledger_that_was_put_back_reads_everything_again(field: Field) -> None:
    """Until then nothing is removed; also where the same ledger is opened once more meanwhile."""
    field.write("file", 4)
    state = field.root.parent / "state"
    backup = field.root.parent / "backup"
    field.ledger.close()
    shutil.copytree(state, backup)
    field.ledger = Ledger.open(state)
    record_verdict(field.ledger, write_file(field.root / "ckpt-9", 2000.0))
    look(keeper(field))
    old = Ledger.open(backup)
    assert doubts(look(keeper(field, old))) == {"put_back"}
    assert "to be read again: 4" in look(keeper(field, old)).put_back
    for entry in old.entries("w"):
        old.record_scrub(entry.path, entry.generation)
    assert doubts(look(keeper(field, old))) == set()
    old.close()
    assert doubts(look(keeper(field, Ledger.open(backup)))) == set()


def test_a_copy_of_the_ledger_in_another_process_is_noticed(field: Field) -> None:
    """Where a file system has no locks, by what it writes."""
    field.write("file", 4)
    state = field.root.parent / "state"
    field.ledger.close()
    shutil.copytree(state, field.root.parent / "copy")
    first = Ledger.open(state)
    second = Ledger.open(field.root.parent / "copy")
    mine, other = keeper(field, first), keeper(field, second)
    assert doubts(look(mine)) == set()
    record_verdict(second, write_file(field.root / "ckpt-9", 2000.0))
    assert doubts(look(other)) == set()
    found = look(mine)
    assert doubts(found) == {"locked"}
    assert "copy of this ledger" in found.locked


_HOLD = """
    import sys
    from pathlib import Path
    from checkpointd.ledger import Ledger
    from checkpointd.retention.root import RootKeeper
    from checkpointd.retention.trash import trash_place
    ledger = Ledger.open(Path(sys.argv[2]))
    kept = RootKeeper("w", trash_place(sys.argv[1]), ledger)
    with kept.locked(enforce=True) as holder:
        print(holder or "held", flush=True)
        sys.stdin.read()
"""


@pytest.fixture
def other_process(field: Field) -> Iterator[subprocess.Popen[str]]:
    """A process that removes something below the root right now."""
    field.write("file", 4)
    (field.root.parent / "theirs").mkdir()
    command = [sys.executable, "-c", textwrap.dedent(_HOLD)]
    process = subprocess.Popen(
        [*command, str(field.root), str(field.root.parent / "theirs")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_one_process_at_a_time_removes_below_a_root(
    field: Field, other_process: subprocess.Popen[str], tmp_path: Path
) -> None:
    """The other is named; a link to the root and a root around it are no way past the lock."""
    found = look(keeper(field))
    assert doubts(found) == {"locked"}
    assert f"process {other_process.pid}" in found.locked
    link = tmp_path / "link"
    link.symlink_to(field.root)
    assert doubts(look(RootKeeper("w", trash_place(str(link)), field.ledger))) == {"locked"}
    inner = field.root / "inner"
    inner.mkdir()
    (inner / "m.h5").write_bytes(b"x")
    assert (
        "contains this root" in look(RootKeeper("v", trash_place(str(inner)), field.ledger)).locked
    )
    outer = RootKeeper("u", trash_place(str(field.root.parent)), field.ledger)
    with outer.locked(enforce=True) as holder:
        assert doubts(outer.look(holder, enforce=True)) == set()
        below = outer.look_below([e.path for e in field.ledger.entries("w")])
        assert below is not None
        assert "inside this root" in below.locked
    other_process.kill()
    other_process.wait()
    assert doubts(look(keeper(field))) == set()


def test_a_root_around_or_inside_another_ledgers_root_is_not_pruned(field: Field) -> None:
    """Also between its rounds, when nobody holds a lock; until its records are removed."""
    inner = field.root / "inner"
    inner.mkdir()
    (inner / "m.h5").write_bytes(b"x")
    look(RootKeeper("v", trash_place(str(inner)), field.ledger))
    new = another_ledger(field)
    with keeper(field, new).locked(enforce=True) as holder:
        assert holder == ""
        below = keeper(field, new).look_below([f"{inner}/m.h5"])
        assert below is not None
        assert f"remove {inner}/.checkpointd" in below.locked
        assert keeper(field).look_below([f"{inner}/m.h5"]) is None
    deeper = inner / "deeper"
    deeper.mkdir()
    (deeper / "m.h5").write_bytes(b"x")
    assert "contains this root" in look(RootKeeper("x", trash_place(str(deeper)), new)).locked
    assert look(RootKeeper("x", trash_place(str(deeper)), field.ledger)).locked == ""
    shutil.rmtree(inner / ".checkpointd")
    assert keeper(field, new).look_below([f"{inner}/m.h5"]) is None


def test_recovery_does_not_take_another_ledgers_trash_for_its_own(field: Field) -> None:
    """A daemon that knew the checkpoints at their paths finds them moved by another one."""
    field.write("file", 5)
    new = another_ledger(field)
    known_again(field, new)
    assert all(removal.done for removal in field.prune())
    pruner = Pruner(str(field.root), new)
    pruner.recover()
    assert doubts(look(keeper(field, new))) >= {"trash"}
    assert pruner.expire(limits(time.time() + 10 * 86400, 3600)).deleted == ()


def test_a_plan_under_a_doubt_removes_nothing(field: Field) -> None:
    """Also in a preview, which only looks."""
    field.write("file", 4)
    look(keeper(field))
    new = another_ledger(field)
    known_again(field, new)
    watch = WatchSettings(name="w", path=field.root, retention=POLICY)
    planned = plan_watch(new, watch, time.time())
    assert planned.removals == ()
    assert {hold.reason for hold in planned.holds} == {"ledger_rebuilt"}
    assert "--accept-rebuilt" in planned.holds[0].cure


def test_a_preview_knows_the_pins_of_the_copy(field: Field) -> None:
    """They are not in the ledger yet."""
    field.write("file", 4)
    field.ledger.pin(str(field.root / "ckpt-0"))
    look(keeper(field))
    new = another_ledger(field)
    known_again(field, new)
    keeper(field, new).accept()
    watch = WatchSettings(name="w", path=field.root, retention=POLICY)
    planned = plan_watch(new, watch, time.time())
    assert planned.holds == ()
    kept = {Path(d.entry.path).name: d.reasons for d in planned.kept}
    assert (set(kept), kept["ckpt-0"]) == ({"ckpt-0", "ckpt-2", "ckpt-3"}, ("it is pinned",)), kept
    assert new.pins() == []


def test_a_trash_without_its_ledger_holds_and_does_not_expire(field: Field) -> None:
    """It is listed and can be restored; what is left expires once it was accepted."""
    field.write("file", 5)
    assert all(removal.done for removal in field.prune())
    new = another_ledger(field)
    found = look(keeper(field, new))
    assert doubts(found) == {"trash"}
    assert found.trash.endswith("put there: 3.")
    pruner = Pruner(str(field.root), new)
    later = time.time() + 10 * 86400
    assert pruner.expire(limits(later, 3600)).deleted == ()
    pruner.restore(str(field.root / "ckpt-0"))
    assert len(keeper(field, new).accept()) == 2
    assert doubts(look(keeper(field, new))) == set()
    assert {p.item for p in new.prunes()} == {i.id for i in pruner.trash.items()}
    assert len(pruner.expire(limits(later, 3600)).deleted) == 2


def test_own_items_are_known_though_the_ledger_did_not_note_them(field: Field) -> None:
    """A crash came in between, or an older ledger was put back: its id is in the manifest."""
    field.write("file", 4)
    field.prune()
    field.ledger._connection.execute("DELETE FROM prunes")
    assert doubts(look(keeper(field))) == set()


def test_who_may_remove_the_root_may_remove_its_records(field: Field) -> None:
    """Owner and mode are those of the root, as far as the daemon may set them."""
    field.write("file", 2)
    field.root.chmod(0o2775)
    if os.geteuid() == 0:
        os.chown(field.root, 12345, 12345)
    look(keeper(field))
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
    assert doubts(look(keeper(field))) == {"pins"}
    assert os.listdir(tmp_path / "outside") == []


def test_the_records_may_be_removed_at_any_time(field: Field) -> None:
    """They are written again, and the lock is taken on the new file."""
    field.write("file", 2)
    field.ledger.pin(str(field.root / "ckpt-0"))
    kept = keeper(field)
    look(kept)
    shutil.rmtree(field.root / RECORDS)
    assert doubts(look(kept)) == set()
    assert sorted(os.listdir(field.root / RECORDS)) == ["ledger.json", "lock", "pins.json"]


def test_killed_at_any_step_the_copies_are_whole(tmp_path: Path) -> None:
    """The old one or the new one, never a doubt; the next start writes what is missing."""
    for number in itertools.count(1):
        top = tmp_path / str(number)
        top.mkdir()
        field = Field(top)
        field.write("file", 3)
        field.ledger.pin(str(field.root / "ckpt-0"))
        look(keeper(field))
        field.ledger.pin(str(field.root / "ckpt-1"))
        field.ledger.close()
        child = os.fork()
        if child == 0:
            code = 70
            try:
                kept = keeper(field, Ledger.open(top / "state"))
                _die_at(number)
                look(kept)
                code = 0
            finally:
                os._exit(code)
        _, status = os.waitpid(child, 0)
        new = another_ledger(field)
        found = look(keeper(field, new), enforce=False)
        assert doubts(found) == {"rebuilt"}, number
        assert {Path(p.path).name for p in new.pins()} >= {"ckpt-0"}
        field.ledger = Ledger.open(top / "state")
        assert doubts(look(keeper(field))) == set(), number
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
        assert doubts(look(kept)) == set()
        assert "Read-only file system" in kept.problem
    finally:
        subprocess.run(["umount", str(field.root)], check=True)


def test_a_bind_mount_is_the_same_root(field: Field, tmp_path: Path) -> None:
    """Its pins are those of the directory, under the other path."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount")
    field.write("file", 2)
    field.ledger.pin(str(field.root / "ckpt-0"))
    look(keeper(field), enforce=False)
    other = tmp_path / "bound"
    other.mkdir()
    mounted = subprocess.run(
        ["mount", "--bind", str(field.root), str(other)], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip("mounting is not permitted here")
    try:
        look(RootKeeper("another name", trash_place(str(other)), field.ledger), enforce=False)
        assert str(other / "ckpt-0") in {p.path for p in field.ledger.pins()}
    finally:
        subprocess.run(["umount", str(other)], check=True)


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
