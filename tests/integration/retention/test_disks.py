"""Planning from the disk as it is, and what full, read-only and forbidden disks answer."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from checkpointd.config import WatchSettings
from checkpointd.retention import (
    Pruner,
    files,
)
from checkpointd.retention.watch_plan import plan_watch
from tests.helpers.ledger import (
    WRITERS,
    generation_on_disk,
    tree,
    write_directory,
    write_file,
    write_prefix,
)
from tests.helpers.retention import POLICY, Field

if TYPE_CHECKING:
    from collections.abc import Callable

    from checkpointd.ledger import Entry


def test_a_watch_is_planned_from_the_ledger_and_the_disk(field: Field) -> None:
    """An unreadable part of the root stops it, and says so."""
    field.write("file", 4)
    (field.root / "latest").symlink_to("ckpt-0")
    watch = WatchSettings(name="w", path=field.root, retention=POLICY)
    planned = plan_watch(field.ledger, watch, time.time())
    assert [Path(d.entry.path).name for d in planned.removals] == ["ckpt-1"]
    held = plan_watch(field.ledger, watch, time.time(), "It is down.")
    assert held.removals == ()
    assert {h.reason for h in held.holds} == {"listing_failed"}


@pytest.mark.parametrize("kind", WRITERS)
def test_what_is_not_as_it_was_verified_fills_no_slot(field: Field, kind: str) -> None:
    """Garbled or missing without a new verdict: the good ones stay, the suspects are named."""
    saved = field.write(kind, 5)
    garbled = Path(saved[4].path + saved[4].generation.members[-1].name)
    with garbled.open("r+b") as file:
        file.write(b"\0\0\0")
    Path(saved[3].path + saved[3].generation.members[0].name).unlink()
    watch = WatchSettings(name="w", path=field.root, retention=POLICY)
    planned = plan_watch(field.ledger, watch, time.time())
    assert [d.entry.path for d in planned.removals] == [saved[0].path]
    assert set(planned.suspects) == {saved[3].path, saved[4].path}
    for entry in saved[1:3]:
        assert "newest valid" in "".join(
            d.reasons[0] for d in planned.kept if d.entry.path == entry.path
        )


def test_a_chmod_or_a_copy_with_its_times_fills_no_slot_until_it_was_compared(
    field: Field,
) -> None:
    """Sizes and times are no proof of the content; once it was compared, they fill their slots."""
    field.write("directory", 4)
    (field.root / "ckpt-3" / "saved_model.pb").chmod(0o600)
    shutil.copytree(field.root / "ckpt-2", field.root / "copy")
    shutil.rmtree(field.root / "ckpt-2")
    (field.root / "copy").rename(field.root / "ckpt-2")
    watch = WatchSettings(name="w", path=field.root, retention=POLICY)
    planned = plan_watch(field.ledger, watch, time.time())
    assert planned.removals == ()
    assert {
        Path(d.entry.path).name for d in planned.decisions if "touched since" in str(d.reasons)
    } == {
        "ckpt-2",
        "ckpt-3",
    }
    assert planned.suspects == ()
    for name in ("ckpt-2", "ckpt-3"):
        entry = field.ledger.entry(str(field.root / name))
        assert entry is not None
        members = [member.name for member in entry.generation.members]
        field.ledger.carry_verdict_over(entry.path, generation_on_disk(entry.path, members))
    planned = plan_watch(field.ledger, watch, time.time())
    assert [Path(d.entry.path).name for d in planned.removals] == ["ckpt-0", "ckpt-1"]


def _as_nobody(act: Callable[[], bool]) -> bool:
    """Whether `act` says yes in a child that is not root."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            if os.geteuid() == 0:
                os.setgroups([])
                os.setgid(65534)
                os.setuid(65534)
            code = 0 if act() else 2
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_no_permission_is_a_plain_reason(field: Field, tmp_path: Path) -> None:
    """The directory's owner is named the cure, and nothing is half done."""
    entries = {e.path: e for e in field.write("file", 3)}
    made = field.plan()
    for directory in (*field.root.parents, field.root):
        if directory.stat().st_uid == os.geteuid() and directory.is_relative_to(tmp_path.parent):
            directory.chmod(0o755)
    field.root.chmod(0o555)

    class Remembering:
        identity = ""

        def entry(self, path: str) -> Entry | None:
            return entries.get(path)

    def refused() -> bool:
        (result,) = Pruner(str(field.root), Remembering()).apply(made)  # type: ignore[arg-type]
        return not result.done and "permission denied" in result.reason

    try:
        assert _as_nobody(refused)
    finally:
        field.root.chmod(0o755)
    assert len(tree(field.root)) == 3


_SMALL_DISKS = """
import os, subprocess, sys, time
from pathlib import Path
sys.path.insert(0, os.getcwd())
from tests.helpers.ledger import record_verdict, write_file
from checkpointd.ledger import WallAges
from checkpointd.retention.trash import TrashLimits
from tests.helpers.retention import Field, limits

top = Path(sys.argv[1])
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "none", top], check=True)
(top / "a").mkdir()
field = Field(top / "a")
for n in range(5):
    record_verdict(field.ledger, write_file(field.root / f"m-{n}.h5", 1000.0 + n, bytes(500_000)))
field.prune()
trash = field.pruner.trash
assert len(trash.items()) == 3
now = time.time()
assert trash.expire(TrashLimits(3600, WallAges(now))).deleted == ()
fill = field.root / "fill"


def fill_up():
    with fill.open("ab", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass


fill_up()
deleted = trash.expire(TrashLimits(3600, WallAges(now))).deleted
assert [Path(i.path).name for i in deleted] == ["m-0.h5"], deleted
assert "nearly full" in deleted[0].reason, deleted

field.write("file", 0)
record_verdict(field.ledger, write_file(field.root / "m-5.h5", 1005.0, b"small"))
fill_up()
assert (field.root / ".checkpointd-trash" / "reserve").exists()
(result,) = field.prune()
assert result.done, result.reason
assert not (field.root / ".checkpointd-trash" / "reserve").exists()

fill.unlink()
record_verdict(field.ledger, write_file(field.root / "m-5.h5", 1005.0, b"small"))
field.prune()
field.pruner.trash.empty(frozenset(i.id for i in field.pruner.trash.items()))
assert field.pruner.trash.remove_if_empty()
assert field.pruner.trash.keep_reserve() and field.pruner.trash.keep_reserve()
record_verdict(field.ledger, write_file(field.root / "m-7.h5", 1007.0, b"small"))
record_verdict(field.ledger, write_file(field.root / "m-8.h5", 1008.0, b"small"))
fill_up()
assert all(result.done for result in field.prune())
assert not field.pruner.trash.keep_reserve()
fill.unlink()
record_verdict(field.ledger, write_file(field.root / "m-9.h5", 1009.0, b"small"))
planned = field.plan()
subprocess.run(["mount", "--bind", field.root, field.root], check=True)
subprocess.run(["mount", "-o", "remount,bind,ro", field.root], check=True)
(result,) = field.pruner.apply(planned)
assert not result.done
assert result.reason == "its file system is read-only", result.reason
assert trash.expire(limits(now + 7200, 3600)).errors
print("all is well")
"""


@pytest.mark.slow
def test_a_full_and_a_read_only_disk(tmp_path: Path) -> None:
    """Full: the trash gives way oldest first, pruning works on. Read-only: a plain reason."""
    tool = shutil.which("unshare")
    command = [tool or "", "--user", "--map-root-user", "--mount"]
    if tool is None or subprocess.run([*command, "true"], check=False).returncode:
        pytest.skip("this machine lets nobody make a mount of its own")
    done = subprocess.run(
        [*command, sys.executable, "-W", "error", "-c", _SMALL_DISKS, str(tmp_path)],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "all is well\n", done.stderr


@pytest.mark.parametrize("kernel", [True, False])
def test_a_rename_never_overwrites(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kernel: bool
) -> None:
    """With the kernel's help, and on file systems that give none."""
    if not kernel:
        monkeypatch.setattr(files, "_renameat2", None)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x").write_text(name)
    (tmp_path / "a" / "y").write_text("y")
    with files.opened(str(tmp_path / "a")) as a, files.opened(str(tmp_path / "b")) as b:
        with pytest.raises(FileExistsError):
            files.rename_new("x", a, b)
        files.rename_new("y", a, b)
    assert tree(tmp_path) == {"a/x": b"a", "b/x": b"b", "b/y": b"y"}


def test_the_helper_lays_what_it_says(tmp_path: Path) -> None:
    """The set-up of these tests matches what a watch records in the ledger."""
    for write in (write_file, write_prefix, write_directory):
        checkpoint, generation = write(tmp_path / write.__name__, 1000)
        assert generation == generation_on_disk(
            checkpoint.path, [m.name for m in generation.members]
        )
        assert generation.saved_at == 1000
