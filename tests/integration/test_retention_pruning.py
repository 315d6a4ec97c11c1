"""Pruning on a real file system: what is looked at, what is refused, what is undone."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from checkpointd.checkpoint import Verdict
from checkpointd.config.settings import RetentionSettings, WatchSettings
from checkpointd.ledger import Entry, Ledger, LedgerError, State
from checkpointd.retention import (
    Plan,
    Pruner,
    Removal,
    TrashError,
    files,
    find_references,
    plan,
)
from checkpointd.retention.current import plan_watch
from checkpointd.retention.trash import min_free_bytes
from tests.helpers.ledger import LAYERS, know, lay_directory, lay_file, lay_prefix, look, tree

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

POLICY = RetentionSettings(keep_last=2, keep_min_valid=2, mode="enforce")


class Field:
    """A root, the ledger that knows what is in it, and a pruner."""

    def __init__(self, top: Path) -> None:
        self.root = top / "root"
        self.root.mkdir()
        (top / "state").mkdir()
        self.ledger = Ledger.open(top / "state")
        self.pruner = Pruner(str(self.root), self.ledger)

    def lay(self, kind: str, count: int) -> list[Entry]:
        """Checkpoints `ckpt-0` and so on, each a second newer, all valid."""
        return [
            know(self.ledger, LAYERS[kind](self.root / f"ckpt-{n}", 1000.0 + n))
            for n in range(count)
        ]

    def plan(self, policy: RetentionSettings = POLICY) -> Plan:
        """What is to be done now."""
        named = find_references(str(self.root)).paths
        return plan(self.ledger.entries("w"), policy, time.time(), named)

    def prune(self, policy: RetentionSettings = POLICY) -> list[Removal]:
        """Plan and carry out."""
        return self.pruner.apply(self.plan(policy))

    def state(self, name: str) -> State:
        """What the ledger says of a checkpoint."""
        entry = self.ledger.entry(str(self.root / name))
        assert entry is not None
        return entry.state


@pytest.fixture
def field(tmp_path: Path) -> Iterator[Field]:
    """An empty root and ledger."""
    made = Field(tmp_path)
    yield made
    made.ledger.close()


@pytest.mark.parametrize("kind", LAYERS)
def test_what_is_pruned_comes_back_whole(field: Field, kind: str) -> None:
    """Golden records go along and come back; the ledger knows both times."""
    field.lay(kind, 4)
    (field.root / "notes.txt").write_text("mine")
    before = tree(field.root)
    results = field.prune()
    assert [(Path(r.entry.path).name, r.done, r.rule) for r in results] == [
        ("ckpt-0", True, "unclaimed"),
        ("ckpt-1", True, "unclaimed"),
    ]
    after = tree(field.root)
    assert after == {f: d for f, d in before.items() if "ckpt-0" not in f and "ckpt-1" not in f}
    assert field.state("ckpt-0") is State.TRASHED
    items = field.pruner.trash.items()
    assert [Path(i.path).name for i in items] == ["ckpt-1", "ckpt-0"]
    assert field.pruner.trash.bytes() == sum(r.size_bytes for r in results)
    assert items[0].manifest.reason == "it is valid, and none of keep_last asks for it"
    for item in items:
        field.pruner.restore(item.path)
    assert tree(field.root) == before
    assert field.state("ckpt-0") is State.VALID
    assert {p.note for p in field.ledger.pins()} == {"restored from the trash"}
    assert field.prune() == []


@pytest.mark.parametrize("name", ["-rf", "a\nb", "\udcff\udcfe", "..x", "x" * 200, "*"])
def test_any_name_that_a_file_can_have_is_pruned(field: Field, name: str) -> None:
    """Newlines, leading dashes and bytes that are no text are names like any other."""
    odd = know(field.ledger, lay_file(field.root / name / f"{name}.h5", 500))
    for number in range(2):
        know(field.ledger, lay_file(field.root / f"m-{number}.h5", 1000.0 + number))
    assert [(r.entry.path, r.done) for r in field.prune()] == [(odd.path, True)]
    assert field.pruner.restore(odd.path).path == odd.path
    assert os.path.exists(odd.path)


def _rewrite(path: Path) -> None:
    path.write_bytes(b"WEIGHTS")
    os.utime(path, (1000, 1000))


def _replace(path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(b"WEIGHTS")
    os.utime(other, (1000, 1000))
    other.rename(path)


def _link(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


def _directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_rewrite, "touched since it was verified"),
        (_replace, "replaced since it was verified"),
        (_link, "no regular file"),
        (_directory, "no regular file"),
        (lambda path: path.write_bytes(b"longer than before"), "written again"),
    ],
)
def test_what_is_not_what_was_verified_stays(
    field: Field, change: Callable[[Path], None], said: str
) -> None:
    """Even with the size and the time of before; it is to be verified again."""
    field.lay("file", 3)
    made = field.plan()
    change(field.root / "ckpt-0")
    before = tree(field.root)
    (result,) = field.pruner.apply(made)
    assert not result.done
    assert said in result.reason
    assert result.suspects == (str(field.root / "ckpt-0"),)
    assert tree(field.root) == before
    assert field.pruner.trash.items() == []
    assert field.state("ckpt-0") is State.VALID


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda d: (d / "new.txt").write_text("mine"), "'/new.txt' was not there"),
        (lambda d: (d / "saved_model.pb").unlink(), "'/saved_model.pb' is missing"),
        (lambda d: (d / "variables" / "link").symlink_to("/etc"), "'/variables/link' was not"),
        (lambda d: (d / "variables" / "variables.index").write_text("x"), "written again"),
    ],
)
def test_a_directory_is_looked_at_whole(
    field: Field, change: Callable[[Path], None], said: str
) -> None:
    """A file that came to lie in it is not swept away with it."""
    field.lay("directory", 3)
    made = field.plan()
    change(field.root / "ckpt-0")
    before = tree(field.root)
    (result,) = field.pruner.apply(made)
    assert not result.done
    assert said in result.reason
    assert tree(field.root) == before


def test_no_link_on_the_way_is_followed(field: Field, tmp_path: Path) -> None:
    """A parent that was swapped for a link leads nowhere."""
    for number in range(3):
        know(field.ledger, lay_file(field.root / "run" / f"m-{number}.h5", 1000.0 + number))
    made = field.plan()
    (field.root / "run").rename(tmp_path / "outside")
    (field.root / "run").symlink_to(tmp_path / "outside")
    before = tree(tmp_path / "outside")
    (result,) = field.pruner.apply(made)
    assert not result.done
    assert "symbolic link" in result.reason
    assert tree(tmp_path / "outside") == before


def test_a_trash_that_is_a_link_is_not_used(field: Field, tmp_path: Path) -> None:
    """Nobody gets checkpoints moved elsewhere by making the trash first."""
    field.lay("file", 3)
    (tmp_path / "outside").mkdir()
    (field.root / ".checkpointd-trash").symlink_to(tmp_path / "outside")
    (result,) = field.prune()
    assert not result.done
    assert list((tmp_path / "outside").iterdir()) == []
    assert (field.root / "ckpt-0").exists()


@pytest.mark.parametrize("how", ["state file", "link"])
def test_what_comes_to_be_named_meanwhile_stays(field: Field, how: str) -> None:
    """References are read anew right before each removal."""
    field.lay("file", 3)
    made = field.plan()
    if how == "link":
        (field.root / "latest").symlink_to("ckpt-0")
    else:
        (field.root / "checkpoint").write_text('model_checkpoint_path: "ckpt-0"\n')
    (result,) = field.pruner.apply(made)
    assert not result.done
    assert "names it now" in result.reason


def test_a_reference_that_comes_while_it_is_moved_brings_it_back(field: Field) -> None:
    """It is looked once more when it lies in the trash."""
    field.lay("prefix", 3)
    before = tree(field.root)
    made = field.plan()

    def link_late(step: str) -> None:
        if step == "compare":
            (field.root / "checkpoint").write_text('model_checkpoint_path: "ckpt-0"\n')

    (result,) = Pruner(str(field.root), field.ledger, on_step=link_late).apply(made)
    assert not result.done
    (field.root / "checkpoint").unlink()
    assert tree(field.root) == before
    assert field.pruner.recover() == []


@pytest.mark.parametrize(
    "left", [".nfs000000000000abcd00000001", ".variables.index.Xy12Zw", ".rsync-partial/x"]
)
def test_what_rsync_or_nfs_left_in_a_directory_is_no_obstacle(field: Field, left: str) -> None:
    """The watch takes it for no member either; it goes along, and comes back."""
    field.lay("directory", 3)
    (field.root / "ckpt-0" / left).parent.mkdir(exist_ok=True)
    (field.root / "ckpt-0" / left).write_text("x")
    before = tree(field.root)
    (result,) = field.prune()
    assert result.done, result.reason
    field.pruner.restore(result.entry.path)
    assert tree(field.root) == before


@pytest.mark.parametrize("late", ["guard", "write", "compare"])
def test_a_pin_that_comes_while_it_is_moved_keeps_it(field: Field, late: str) -> None:
    """A pin counts until the last moment, and brings back what has been moved."""
    first, *_ = field.lay("prefix", 3)
    before = tree(field.root)
    made = field.plan()

    def pin_late(step: str) -> None:
        if step == late:
            field.ledger.pin(first.path)

    (result,) = Pruner(str(field.root), field.ledger, on_step=pin_late).apply(made)
    assert (result.done, result.reason) == (False, "it has been pinned since this was planned")
    assert tree(field.root) == before
    assert field.state("ckpt-0") is State.VALID
    assert field.pruner.recover() == []


def test_enough_others_must_really_be_there(field: Field) -> None:
    """What the ledger calls valid counts only as long as it lies there unchanged."""
    field.lay("file", 4)
    made = field.plan()
    (field.root / "ckpt-3").unlink()
    _rewrite(field.root / "ckpt-2")
    steps: list[str] = []
    results = Pruner(str(field.root), field.ledger, on_step=steps.append).apply(made)
    assert [r.done for r in results] == [False, False]
    assert "only 1 other valid ones" in results[0].reason
    assert set(results[0].suspects) == {str(field.root / "ckpt-3"), str(field.root / "ckpt-2")}
    assert {"ckpt-0", "ckpt-1"} <= tree(field.root).keys()
    assert "guard" in steps
    assert "move" not in steps


def test_what_changed_in_the_ledger_since_the_plan_stays(field: Field) -> None:
    """A plan that was looked at for an hour is not carried out blindly."""
    first, second, third, *_ = field.lay("file", 5)
    made = field.plan()
    field.ledger.pin(first.path)
    know(field.ledger, (second.checkpoint, second.generation), Verdict.INVALID)
    field.ledger.sighted(third.checkpoint, third.generation, State.PENDING)
    reasons = [r.reason for r in field.pruner.apply(made) if not r.done]
    assert len(reasons) == 3
    assert "pinned since" in reasons[0]
    assert all("since this was planned" in reason for reason in reasons)


def test_what_has_vanished_is_a_plain_reason(field: Field) -> None:
    """A job that cleans up after itself is no error."""
    field.lay("file", 3)
    made = field.plan()
    (field.root / "ckpt-0").unlink()
    (result,) = field.pruner.apply(made)
    assert (result.done, result.reason) == (False, "it is gone, or its directory is")


def test_a_root_that_has_vanished_is_a_plain_reason(field: Field) -> None:
    """So is an unmounted one."""
    field.lay("file", 3)
    made = field.plan()
    shutil.rmtree(field.root)
    assert [r.done for r in field.pruner.apply(made)] == [False]
    field.root.mkdir()
    assert [r.done for r in field.pruner.apply(made)] == [False]
    assert field.pruner.recover() == []
    assert field.pruner.trash.items() == []


def test_invalid_ones_past_the_quarantine_go_to_the_trash_too(field: Field) -> None:
    """They need no floor, and come back like the others."""
    bad = know(field.ledger, lay_prefix(field.root / "ckpt-0", 500), Verdict.INVALID)
    for number in (1, 2):
        know(field.ledger, lay_prefix(field.root / f"ckpt-{number}", 500 + number))
    policy = RetentionSettings(keep_last=2, quarantine_ttl="1h", mode="enforce")
    later = plan(field.ledger.entries("w"), policy, time.time() + 7200)
    (result,) = field.pruner.apply(later)
    assert (result.done, result.rule, result.entry.path) == (True, "quarantine_ttl", bad.path)
    field.pruner.restore(bad.path)
    assert field.state("ckpt-0") is State.INVALID


def test_the_ledger_is_told_later_if_it_could_not_be_told(field: Field) -> None:
    """The trash's own manifest is enough to put the ledger right at the next start."""
    field.lay("file", 3)
    made = field.plan()

    class Forgetful(Ledger):
        def trashed(self, *_: object, **__: object) -> None:
            raise LedgerError("The ledger cannot be written: the disk is full.")

    forgetful = Forgetful(field.ledger._connection, field.ledger._pins)
    (result,) = Pruner(str(field.root), forgetful).apply(made)
    assert result.done
    assert "the ledger learns of it at the next start" in result.reason
    assert field.state("ckpt-0") is State.VALID
    assert [r.outcome for r in field.pruner.recover()] == ["moved"]
    assert field.state("ckpt-0") is State.TRASHED


def test_a_restore_never_overwrites(field: Field) -> None:
    """What lies there now stays; what is in the trash stays there."""
    field.lay("prefix", 3)
    field.prune()
    (field.root / "ckpt-0.data-00001-of-00002").write_text("new")
    with pytest.raises(TrashError, match="is there again"):
        field.pruner.restore(str(field.root / "ckpt-0"))
    assert (field.root / "ckpt-0.data-00001-of-00002").read_text() == "new"
    assert len(field.pruner.trash.items()) == 1
    with pytest.raises(TrashError, match="is not in the trash"):
        field.pruner.restore(str(field.root / "ckpt-1"))


def test_a_restore_makes_the_directory_again(field: Field) -> None:
    """A run's directory that was removed meanwhile is no obstacle."""
    for number in range(3):
        place = field.root / f"run-{number}" / "deep" / "m.h5"
        know(field.ledger, lay_file(place, 1000.0 + number))
    field.prune()
    shutil.rmtree(field.root / "run-0")
    field.pruner.restore(str(field.root / "run-0" / "deep" / "m.h5"))
    assert (field.root / "run-0" / "deep" / "m.h5").read_bytes() == b"weights"


def test_the_newest_of_several_from_one_path_is_restored(field: Field) -> None:
    """An older one can be had by its id."""
    ids = []
    for version in range(2):
        for number in range(3):
            laid = lay_file(field.root / f"m-{number}.h5", 1000.0 + number, b"%d" % version)
            know(field.ledger, laid)
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
    field.lay("prefix", 3)
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
    field.lay("prefix", 3)
    before = tree(field.root)
    _die_pruning(field, 0)
    assert [r.outcome for r in field.pruner.recover()] == ["undone"]
    assert tree(field.root) == before
    assert field.state("ckpt-0") is State.VALID


def test_recovery_leaves_a_new_save_under_the_old_name_alone(field: Field) -> None:
    """Half of the old one is in the trash, a whole new one at its place: the new one stays."""
    field.lay("prefix", 3)
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
    with pytest.raises(TrashError, match="is there again"):
        field.pruner.restore(str(field.root / "ckpt-0"))
    assert tree(field.root) == before


def test_rubbish_in_the_trash_is_left_alone(field: Field) -> None:
    """What nobody understands is told, and neither restored nor deleted."""
    field.lay("file", 3)
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
    assert len(field.pruner.expire(time.time() + 10, 1).deleted) == 1
    assert (trash / "mine" / "content" / "file").read_text() == "?"


def _never_full(total: int) -> float:
    return 0 * total


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
def test_a_large_disk_is_not_nearly_full_with_much_room(total: int, least: float) -> None:
    """A twentieth of it, 10 GiB at most; 1 GiB at least, a tenth of it at most."""
    assert min_free_bytes(total) == pytest.approx(least)


def test_a_nearly_full_disk_empties_the_trash_and_says_so(field: Field) -> None:
    """Who finds the trash empty before its time can read why."""
    field.lay("file", 4)
    field.prune()
    expired = field.pruner.trash.expire(time.time(), 3600, min_free=lambda total: 2 * total)
    assert [Path(i.path).name for i in expired.deleted] == ["ckpt-0", "ckpt-1"]
    assert all("the disk is nearly full: " in i.reason for i in expired.deleted)


def test_a_stopped_pruner_ends_what_it_moves_and_begins_nothing(field: Field) -> None:
    """Neither another removal nor another deletion; what was moved is whole and known."""
    field.lay("prefix", 6)
    made = field.plan()

    def stop(step: str) -> None:
        if step == "compare":
            pruner.stop()

    pruner = Pruner(str(field.root), field.ledger, on_step=stop)
    assert [(Path(r.entry.path).name, r.done) for r in pruner.apply(made)] == [("ckpt-0", True)]
    assert field.state("ckpt-0") is State.TRASHED
    assert field.state("ckpt-1") is State.VALID
    assert pruner.expire(time.time() + 10, 1).deleted == ()
    assert len(field.pruner.expire(time.time() + 10, 1).deleted) == 1


def test_the_trash_is_emptied_when_its_time_has_come(field: Field) -> None:
    """Until then it can be undone; links inside are removed and never followed."""
    field.lay("directory", 4)
    field.prune()
    now = time.time()
    kept = field.pruner.trash.expire(now, 3600, min_free=_never_full)
    assert kept.deleted == ()
    first = field.pruner.trash.items()[-1]
    content = field.root / ".checkpointd-trash" / first.id / "content" / "ckpt-0"
    (content / "link").symlink_to(field.root)
    expired = field.pruner.trash.expire(now + 3700, 3600, min_free=_never_full)
    assert [Path(i.path).name for i in expired.deleted] == ["ckpt-0", "ckpt-1"]
    said = "it has been in the trash for longer than trash_ttl = 1 h"
    assert {i.reason for i in expired.deleted} == {said}
    assert expired.troubles == ()
    assert (field.root / "ckpt-3" / "saved_model.pb").exists()
    assert field.pruner.trash.bytes() == 0


def test_a_watch_is_planned_from_the_ledger_and_the_disk(field: Field) -> None:
    """An unreadable part of the root stops it, and says so."""
    field.lay("file", 4)
    (field.root / "latest").symlink_to("ckpt-0")
    watch = WatchSettings(name="w", path=field.root, retention=POLICY)
    planned = plan_watch(field.ledger, watch, time.time())
    assert [Path(d.entry.path).name for d in planned.removals] == ["ckpt-1"]
    held = plan_watch(field.ledger, watch, time.time(), "It is down.")
    assert held.removals == ()
    assert {h.reason for h in held.holds} == {"listing_failed"}


@pytest.mark.parametrize("kind", LAYERS)
def test_what_is_not_as_it_was_verified_fills_no_slot(field: Field, kind: str) -> None:
    """Garbled or missing without a new verdict: the good ones stay, the suspects are named."""
    laid = field.lay(kind, 5)
    garbled = Path(laid[4].path + laid[4].generation.members[-1].name)
    with garbled.open("r+b") as file:
        file.write(b"\0\0\0")
    Path(laid[3].path + laid[3].generation.members[0].name).unlink()
    watch = WatchSettings(name="w", path=field.root, retention=POLICY)
    planned = plan_watch(field.ledger, watch, time.time())
    assert [d.entry.path for d in planned.removals] == [laid[0].path]
    assert set(planned.suspects) == {laid[3].path, laid[4].path}
    for entry in laid[1:3]:
        assert "newest valid" in "".join(d.reasons[0] for d in planned.kept if d.entry == entry)


def test_a_chmod_or_a_copy_with_its_times_fills_its_slot(field: Field) -> None:
    """Its names, sizes and times are those that were verified."""
    field.lay("directory", 4)
    (field.root / "ckpt-3" / "saved_model.pb").chmod(0o600)
    shutil.copytree(field.root / "ckpt-2", field.root / "copy")
    shutil.rmtree(field.root / "ckpt-2")
    (field.root / "copy").rename(field.root / "ckpt-2")
    watch = WatchSettings(name="w", path=field.root, retention=POLICY)
    planned = plan_watch(field.ledger, watch, time.time())
    assert [Path(d.entry.path).name for d in planned.removals] == ["ckpt-0", "ckpt-1"]
    assert planned.suspects == ()


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
    entries = {e.path: e for e in field.lay("file", 3)}
    made = field.plan()
    for directory in (*field.root.parents, field.root):
        if directory.stat().st_uid == os.geteuid() and directory.is_relative_to(tmp_path.parent):
            directory.chmod(0o755)
    field.root.chmod(0o555)

    class Remembering:
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
from tests.integration.test_retention_pruning import Field, lay_file, know

top = Path(sys.argv[1])
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "none", top], check=True)
(top / "a").mkdir()
field = Field(top / "a")
for n in range(5):
    know(field.ledger, lay_file(field.root / f"m-{n}.h5", 1000.0 + n, bytes(500_000)))
field.prune()
trash = field.pruner.trash
assert len(trash.items()) == 3
now = time.time()
assert trash.expire(now, 3600).deleted == ()
fill = field.root / "fill"
with fill.open("wb", buffering=0) as file:
    try:
        while True:
            file.write(bytes(4096))
    except OSError:
        pass
deleted = trash.expire(now, 3600).deleted
assert [Path(i.path).name for i in deleted] == ["m-0.h5"], deleted
assert "nearly full" in deleted[0].reason, deleted

field.lay("file", 0)
know(field.ledger, lay_file(field.root / "m-5.h5", 1005.0, b"small"))
with fill.open("ab", buffering=0) as file:
    try:
        while True:
            file.write(bytes(4096))
    except OSError:
        pass
assert (field.root / ".checkpointd-trash" / "reserve").exists()
(result,) = field.prune()
assert result.done, result.reason
assert not (field.root / ".checkpointd-trash" / "reserve").exists()

fill.unlink()
know(field.ledger, lay_file(field.root / "m-6.h5", 1006.0, b"small"))
planned = field.plan()
subprocess.run(["mount", "--bind", field.root, field.root], check=True)
subprocess.run(["mount", "-o", "remount,bind,ro", field.root], check=True)
(result,) = field.pruner.apply(planned)
assert not result.done
assert result.reason == "its file system is read-only", result.reason
assert trash.expire(now + 7200, 3600).troubles
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
        cwd=Path(__file__).parents[2],
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
    """The stage of these tests is what the ledger would be told by a watch."""
    for lay in (lay_file, lay_prefix, lay_directory):
        checkpoint, generation = lay(tmp_path / lay.__name__, 1000)
        assert generation == look(checkpoint.path, [m.name for m in generation.members])
        assert generation.saved_at == 1000
