"""Which ledger and which process may remove anything below a root, in real ones."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from checkpointd.config import WatchSettings
from checkpointd.ledger import Ledger
from checkpointd.retention import Pruner
from checkpointd.retention.root import RootKeeper
from checkpointd.retention.trash import trash_place
from checkpointd.retention.watch_plan import plan_watch
from tests.helpers.ledger import record_verdict, write_file
from tests.helpers.retention import POLICY, Field, limits
from tests.helpers.roots import another_ledger, doubts, keeper, known_again, synchronize

if TYPE_CHECKING:
    from collections.abc import Iterator


def test_an_older_ledger_that_was_put_back_reads_everything_again(field: Field) -> None:
    """Until then nothing is removed; also where the same ledger is opened once more meanwhile."""
    field.write("file", 4)
    state = field.root.parent / "state"
    backup = field.root.parent / "backup"
    field.ledger.close()
    shutil.copytree(state, backup)
    field.ledger = Ledger.open(state)
    record_verdict(field.ledger, write_file(field.root / "ckpt-9", 2000.0))
    synchronize(keeper(field))
    old = Ledger.open(backup)
    assert doubts(synchronize(keeper(field, old))) == {"put_back"}
    assert "to be read again: 4" in synchronize(keeper(field, old)).put_back
    for entry in old.entries("w"):
        old.record_scrub(entry.path, entry.generation)
    assert doubts(synchronize(keeper(field, old))) == set()
    old.close()
    assert doubts(synchronize(keeper(field, Ledger.open(backup)))) == set()


def test_a_copy_of_the_ledger_in_another_process_is_noticed(field: Field) -> None:
    """Where a file system has no locks, by what it writes."""
    field.write("file", 4)
    state = field.root.parent / "state"
    field.ledger.close()
    shutil.copytree(state, field.root.parent / "copy")
    first = Ledger.open(state)
    second = Ledger.open(field.root.parent / "copy")
    mine, other = keeper(field, first), keeper(field, second)
    assert doubts(synchronize(mine)) == set()
    record_verdict(second, write_file(field.root / "ckpt-9", 2000.0))
    assert doubts(synchronize(other)) == set()
    found = synchronize(mine)
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
    found = synchronize(keeper(field))
    assert doubts(found) == {"locked"}
    assert f"process {other_process.pid}" in found.locked
    link = tmp_path / "link"
    link.symlink_to(field.root)
    assert doubts(synchronize(RootKeeper("w", trash_place(str(link)), field.ledger))) == {"locked"}
    inner = field.root / "inner"
    inner.mkdir()
    (inner / "m.h5").write_bytes(b"x")
    assert (
        "contains this root"
        in synchronize(RootKeeper("v", trash_place(str(inner)), field.ledger)).locked
    )
    outer = RootKeeper("u", trash_place(str(field.root.parent)), field.ledger)
    with outer.locked(enforce=True) as holder:
        assert doubts(outer.synchronize(holder, enforce=True)) == set()
        below = outer.doubts_below([e.path for e in field.ledger.entries("w")])
        assert below is not None
        assert "inside this root" in below.locked
    other_process.kill()
    other_process.wait()
    assert doubts(synchronize(keeper(field))) == set()


def test_a_root_around_or_inside_another_ledgers_root_is_not_pruned(field: Field) -> None:
    """Also between its rounds, when nobody holds a lock; until its records are removed."""
    inner = field.root / "inner"
    inner.mkdir()
    (inner / "m.h5").write_bytes(b"x")
    synchronize(RootKeeper("v", trash_place(str(inner)), field.ledger))
    new = another_ledger(field)
    with keeper(field, new).locked(enforce=True) as holder:
        assert holder == ""
        below = keeper(field, new).doubts_below([f"{inner}/m.h5"])
        assert below is not None
        assert f"remove {inner}/.checkpointd" in below.locked
        assert keeper(field).doubts_below([f"{inner}/m.h5"]) is None
    deeper = inner / "deeper"
    deeper.mkdir()
    (deeper / "m.h5").write_bytes(b"x")
    assert (
        "contains this root" in synchronize(RootKeeper("x", trash_place(str(deeper)), new)).locked
    )
    assert synchronize(RootKeeper("x", trash_place(str(deeper)), field.ledger)).locked == ""
    shutil.rmtree(inner / ".checkpointd")
    assert keeper(field, new).doubts_below([f"{inner}/m.h5"]) is None


def test_recovery_does_not_take_another_ledgers_trash_for_its_own(field: Field) -> None:
    """A daemon that knew the checkpoints at their paths finds them moved by another one."""
    field.write("file", 5)
    new = another_ledger(field)
    known_again(field, new)
    assert all(removal.done for removal in field.prune())
    pruner = Pruner(str(field.root), new)
    pruner.recover()
    assert doubts(synchronize(keeper(field, new))) >= {"trash"}
    assert pruner.expire(limits(time.time() + 10 * 86400, 3600)).deleted == ()


def test_a_plan_under_a_doubt_removes_nothing(field: Field) -> None:
    """Also in a preview, which only looks."""
    field.write("file", 4)
    synchronize(keeper(field))
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
    synchronize(keeper(field))
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
    found = synchronize(keeper(field, new))
    assert doubts(found) == {"trash"}
    assert found.trash.endswith("put there: 3.")
    pruner = Pruner(str(field.root), new)
    later = time.time() + 10 * 86400
    assert pruner.expire(limits(later, 3600)).deleted == ()
    pruner.restore(str(field.root / "ckpt-0"))
    assert len(keeper(field, new).accept()) == 2
    assert doubts(synchronize(keeper(field, new))) == set()
    assert {p.item for p in new.prunes()} == {i.id for i in pruner.trash.items()}
    assert len(pruner.expire(limits(later, 3600)).deleted) == 2


def test_own_items_are_known_though_the_ledger_did_not_note_them(field: Field) -> None:
    """A crash came in between, or an older ledger was put back: its id is in the manifest."""
    field.write("file", 4)
    field.prune()
    field.ledger._connection.execute("DELETE FROM prunes")
    assert doubts(synchronize(keeper(field))) == set()


def test_a_bind_mount_is_the_same_root(field: Field, tmp_path: Path) -> None:
    """Its pins are those of the directory, under the other path."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount")
    field.write("file", 2)
    field.ledger.pin(str(field.root / "ckpt-0"))
    synchronize(keeper(field), enforce=False)
    other = tmp_path / "bound"
    other.mkdir()
    mounted = subprocess.run(
        ["mount", "--bind", str(field.root), str(other)], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip("mounting is not permitted here")
    try:
        synchronize(
            RootKeeper("another name", trash_place(str(other)), field.ledger), enforce=False
        )
        assert str(other / "ckpt-0") in {p.path for p in field.ledger.pins()}
    finally:
        subprocess.run(["umount", str(other)], check=True)
