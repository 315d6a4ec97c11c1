"""A trash outside the root: whether anything can be moved there, and a root with another path."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from checkpointd.ledger import KnownTrash
from checkpointd.retention import Pruner
from checkpointd.retention.root import RootKeeper
from checkpointd.retention.trash import TrashPlace, trash_place, why_unusable
from tests.helpers.roots import another_ledger, synchronize

if TYPE_CHECKING:
    from tests.helpers.retention import Field

_MOUNTED = """
import subprocess, sys
from checkpointd.retention.trash import trash_place, why_unusable
top = sys.argv[1]
for name in ("root", "trash"):
    subprocess.run(["mount", "--bind", f"{top}/{name}", f"{top}/{name}"], check=True)
print(why_unusable(trash_place(f"{top}/root", f"{top}/trash")))
"""


def _keeper(field: Field, place: TrashPlace) -> RootKeeper:
    return RootKeeper("w", place, field.ledger)


def test_two_mounts_of_one_disk_are_different_mounts(field: Field) -> None:
    """As those of two `ReadWritePaths=`, or two volumes of a container: a rename fails there."""
    top = field.root.parent
    (top / "trash").mkdir()
    assert why_unusable(trash_place(str(field.root), str(top / "trash"))) == ""
    done = subprocess.run(
        ["unshare", "-m", sys.executable, "-c", _MOUNTED, str(top)],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[3],
    )
    if done.returncode:
        pytest.skip(f"no mount namespace: {done.stderr.strip()[-80:]}")
    assert "not on one file system and in one mount" in done.stdout


def test_another_disk_a_missing_and_a_closed_directory(field: Field) -> None:
    """What does not exist is made at the first removal, if that is possible."""
    top = field.root.parent
    place = trash_place(str(field.root), "/dev/shm/checkpointd-trash")  # noqa: S108 - never made
    if os.stat("/dev/shm").st_dev != os.stat(top).st_dev:  # noqa: S108 - only looked at
        assert "not on one file system" in why_unusable(place)
    assert why_unusable(trash_place(str(field.root), str(top / "a" / "b"))) == ""
    (top / "closed").mkdir(mode=0o500)
    closed = why_unusable(trash_place(str(field.root), str(top / "closed")))
    assert os.geteuid() == 0 or "cannot be written by user" in closed
    assert why_unusable(trash_place(str(top / "no root"), "/dev/shm")) == ""  # noqa: S108 - only looked at


def _pruned(field: Field, elsewhere: Path) -> TrashPlace:
    """A root whose trash is elsewhere and has one of three."""
    field.write("file", 3)
    place = trash_place(str(field.root), str(elsewhere))
    synchronize(_keeper(field, place))
    field.pruner = Pruner(str(field.root), field.ledger, place)
    assert all(removal.done for removal in field.prune())
    field.ledger.record_trash(KnownTrash(place.directory, place.root, "w", 3600.0, "enforce"))
    return place


@pytest.mark.parametrize("is_ledger_lost", [False, True])
def test_a_root_that_was_renamed_finds_its_trash_again(field: Field, is_ledger_lost: bool) -> None:
    """Its name in `trash_dir` contains the path; the root knows it, also without the ledger."""
    elsewhere = field.root.with_name("elsewhere")
    before = _pruned(field, elsewhere)
    names = {item.manifest.path for item in field.pruner.trash.items()}
    assert names
    field.root = field.root.rename(field.root.with_name("renamed"))
    elsewhere = elsewhere.rename(elsewhere.with_name("mounted elsewhere"))
    if is_ledger_lost:
        field.ledger = another_ledger(field)
    place = trash_place(str(field.root), str(elsewhere))
    synchronize(_keeper(field, place), enforce=False)
    pruner = Pruner(str(field.root), field.ledger, place)
    assert {item.path for item in pruner.trash.items()} == {
        f"{field.root}/{name}" for name in names
    }
    assert not os.path.exists(before.directory)
    assert [k.directory for k in field.ledger.trashes() if k.directory == before.directory] == []
    for item in pruner.trash.items():
        pruner.restore(item.id)
    assert sorted(p.name for p in field.root.glob("ckpt-*")) == ["ckpt-0", "ckpt-1", "ckpt-2"]


def test_a_copy_of_a_root_does_not_take_the_trash_of_the_first(field: Field) -> None:
    """Nor does a root whose owner writes that the trash of another is its own."""
    elsewhere = field.root.with_name("elsewhere")
    before = _pruned(field, elsewhere)
    copied = field.root.with_name("copied")
    subprocess.run(["cp", "-a", field.root, copied], check=True)
    synchronize(_keeper(field, trash_place(str(copied), str(elsewhere))), enforce=False)
    assert os.listdir(elsewhere) == [os.path.basename(before.directory)]
