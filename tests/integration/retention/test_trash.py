"""The trash: restoring, recovering after a crash, emptying in time; on real files."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from checkpointd.core.checkpoint import Checkpoint
from checkpointd.formats import recognise
from checkpointd.ledger import State
from checkpointd.retention import (
    Pruner,
    TrashError,
)
from checkpointd.retention.trash import min_free_bytes
from checkpointd.retention.trees import NotUnchangedError
from tests.helpers.ledger import record_verdict, tree, write_file
from tests.helpers.retention import limits

if TYPE_CHECKING:
    from tests.helpers.retention import Field


def test_a_restore_never_overwrites(field: Field) -> None:
    """What is at the path now stays; what is in the trash stays there."""
    field.write("prefix", 3)
    field.prune()
    (field.root / "ckpt-0.data-00001-of-00002").write_text("new")
    with pytest.raises(TrashError, match="exists again"):
        field.pruner.restore(str(field.root / "ckpt-0"))
    assert (field.root / "ckpt-0.data-00001-of-00002").read_text() == "new"
    assert len(field.pruner.trash.items()) == 1
    with pytest.raises(TrashError, match="is not in the trash"):
        field.pruner.restore(str(field.root / "ckpt-1"))


def test_a_restore_makes_the_directory_again(field: Field) -> None:
    """A run's directory that was removed meanwhile is no obstacle."""
    for number in range(3):
        place = field.root / f"run-{number}" / "deep" / "m.h5"
        record_verdict(field.ledger, write_file(place, 1000.0 + number))
    field.prune()
    shutil.rmtree(field.root / "run-0")
    field.pruner.restore(str(field.root / "run-0" / "deep" / "m.h5"))
    assert (field.root / "run-0" / "deep" / "m.h5").read_bytes() == b"weights"


def test_the_newest_of_several_from_one_path_is_restored(field: Field) -> None:
    """An older one can be had by its id."""
    ids = []
    for version in range(2):
        for number in range(3):
            saved = write_file(
                field.root / f"m-{number}.h5", 1000.0 + 10 * version + number, b"%d" % version
            )
            record_verdict(field.ledger, saved)
        (result,) = field.prune()
        ids.append(result.item)
    path = field.root / "m-0.h5"
    assert field.pruner.restore(str(path)).id == ids[1]
    assert path.read_bytes() == b"1"
    path.unlink()
    field.pruner.restore(ids[0])
    assert path.read_bytes() == b"0"


def test_an_interrupted_move_is_undone_at_once(field: Field) -> None:
    """Ctrl-C between two renames leaves everything as it was."""
    field.write("prefix", 3)
    before = tree(field.root)
    made = field.plan()

    def interrupt(step: str) -> None:
        if step == "compare":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Pruner(str(field.root), field.ledger, on_step=interrupt).apply(made)
    assert tree(field.root) == before
    assert field.pruner.recover() == []


def _die_pruning(field: Field, number: int) -> None:
    """Prune in a child that ends, as if killed, before its `number`-th move (from 0)."""
    child = os.fork()
    if child == 0:
        moves = iter(range(10))

        def die(step: str) -> None:
            if step == "move" and next(moves) == number:
                os._exit(9)

        try:
            Pruner(str(field.root), field.ledger, on_step=die).apply(field.plan())
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9


def test_what_was_not_begun_is_not_finished_by_recovery(field: Field) -> None:
    """Only the intention was written down: it is dropped, and planned anew."""
    field.write("prefix", 3)
    before = tree(field.root)
    _die_pruning(field, 0)
    assert [r.outcome for r in field.pruner.recover()] == ["undone"]
    assert tree(field.root) == before
    assert field.state("ckpt-0") is State.VALID


def test_recovery_leaves_a_new_save_under_the_old_name_alone(field: Field) -> None:
    """Half of the old one is in the trash, a whole new one at its place: the new one stays."""
    field.write("prefix", 3)
    _die_pruning(field, 1)
    assert not (field.root / "ckpt-0.index").exists()
    for shard in ("ckpt-0.data-00000-of-00002", "ckpt-0.data-00001-of-00002"):
        (field.root / shard).write_text("saved again, in place")
    (field.root / "ckpt-0.index").write_text("saved again")
    before = tree(field.root)
    (recovered,) = field.pruner.recover()
    assert recovered.outcome == "moved"
    assert tree(field.root) == before
    assert field.pruner.trash.items()[0].path == str(field.root / "ckpt-0")
    with pytest.raises(TrashError, match="exists again"):
        field.pruner.restore(str(field.root / "ckpt-0"))
    assert tree(field.root) == before


def test_rubbish_in_the_trash_is_left_alone(field: Field) -> None:
    """An item without a readable manifest is reported, and neither restored nor deleted."""
    field.write("file", 3)
    field.prune()
    trash = field.root / ".checkpointd-trash"
    (trash / "mine" / "content").mkdir(parents=True)
    (trash / "mine" / "content" / "file").write_text("?")
    (trash / "mine" / "manifest.json").write_text('{"version": 1, "parts": [{"name": "../x"}]}')
    (trash / "empty").mkdir()
    (trash / "file").write_text("?")
    outcomes = {r.id: r.outcome for r in field.pruner.recover()}
    assert outcomes["mine"] == "unclear"
    assert outcomes["empty"] == "undone"
    assert len(field.pruner.trash.items()) == 1
    assert len(field.pruner.expire(limits(time.time() + 10, 1)).deleted) == 1
    assert (trash / "mine" / "content" / "file").read_text() == "?"


@pytest.mark.parametrize(
    ("total", "least"),
    [
        (100 << 40, 10 << 30),
        (1 << 40, 10 << 30),
        (100 << 30, 5 << 30),
        (15 << 30, 1 << 30),
        (5 << 30, 0.5 * (1 << 30)),
        (4 << 20, 0.4 * (1 << 20)),
    ],
)
def test_a_large_disk_is_not_nearly_full_with_much_free_space(total: int, least: float) -> None:
    """A twentieth of it, 10 GiB at most; 1 GiB at least, a tenth of it at most."""
    assert min_free_bytes(total) == pytest.approx(least)


def test_a_nearly_full_disk_empties_the_trash_and_says_so(field: Field) -> None:
    """Who finds the trash empty before its time can read why."""
    field.write("file", 4)
    field.prune()
    expired = field.pruner.trash.expire(limits(time.time(), 3600, min_free=lambda total: 2 * total))
    assert [Path(i.path).name for i in expired.deleted] == ["ckpt-0", "ckpt-1"]
    assert all("the disk is nearly full: " in i.reason for i in expired.deleted)


def test_a_stopped_pruner_ends_what_it_moves_and_begins_nothing(field: Field) -> None:
    """Neither another removal nor another deletion; what was moved is whole and known."""
    field.write("prefix", 6)
    made = field.plan()

    def stop(step: str) -> None:
        if step == "compare":
            pruner.stop()

    pruner = Pruner(str(field.root), field.ledger, on_step=stop)
    assert [(Path(r.entry.path).name, r.done) for r in pruner.apply(made)] == [("ckpt-0", True)]
    assert field.state("ckpt-0") is State.TRASHED
    assert field.state("ckpt-1") is State.VALID
    assert pruner.expire(limits(time.time() + 10, 1)).deleted == ()
    assert len(field.pruner.expire(limits(time.time() + 10, 1)).deleted) == 1


def test_the_trash_is_emptied_when_its_time_has_come(field: Field) -> None:
    """Until then it can be undone; links inside are removed and never followed."""
    field.write("directory", 4)
    field.prune()
    now = time.time()
    kept = field.pruner.trash.expire(limits(now, 3600))
    assert kept.deleted == ()
    first = field.pruner.trash.items()[-1]
    content = field.root / ".checkpointd-trash" / first.id / "content" / "ckpt-0"
    (content / "link").symlink_to(field.root)
    expired = field.pruner.trash.expire(limits(now + 3700, 3600))
    assert [Path(i.path).name for i in expired.deleted] == ["ckpt-0", "ckpt-1"]
    reason = "it has been in the trash for longer than trash_ttl = 1h"
    assert {i.reason for i in expired.deleted} == {reason}
    assert expired.errors == ()
    assert (field.root / "ckpt-3" / "saved_model.pb").exists()
    assert field.pruner.trash.bytes() == 0


@pytest.mark.parametrize(
    "name",
    [
        "ckpt-5_temp/part-00000-of-00001.data-00000-of-00001.tempstate7",
        "ckpt-5.data-00000-of-00001.tempstate7",
        "5/variables/variables_temp/part-00000-of-00001.data-00000-of-00001.tempstate7",
    ],
)
def test_what_a_killed_save_left_is_moved_and_restored_unless_more_is_there(
    field: Field, name: str
) -> None:
    """It consists of temporary files alone, which a save that goes on adds to."""
    (field.root / name).parent.mkdir(parents=True, exist_ok=True)
    (field.root / name).write_bytes(b"first shard")
    top = field.root / "5"
    (found,) = recognise(str(top if top.exists() else field.root)).found
    checkpoint = Checkpoint(path=found.path, format=found.hint, watch="a", series="s")
    record_verdict(field.ledger, (checkpoint, found.generation))
    entry = field.ledger.entry(found.path)
    assert entry is not None
    before, trash = tree(field.root), field.pruner.trash
    item = trash.put(entry, rule="quarantine", reason="it is invalid", guard=lambda _: None)
    assert not (field.root / name).exists()
    trash.restore(item.id)
    assert {path: data for path, data in tree(field.root).items() if path in before} == before
    if "_temp/" in name:
        (field.root / name).with_name("part-00001-of-00002.index").write_bytes(b"")
        with pytest.raises(NotUnchangedError, match="was not there"):
            trash.put(entry, rule="quarantine", reason="it is invalid", guard=lambda _: None)
