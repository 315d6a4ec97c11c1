"""Pruning on a real file system: what is looked at, what is refused, what is undone."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from checkpointd.config import RetentionSettings, WatchSettings
from checkpointd.core.verdict import Verdict
from checkpointd.ledger import Ledger, LedgerError, State
from checkpointd.retention import Pruner, plan
from checkpointd.retention.watch_plan import plan_watch
from tests.helpers.ledger import WRITERS, record_verdict, tree, write_file, write_prefix
from tests.helpers.retention import POLICY

if TYPE_CHECKING:
    from collections.abc import Callable

    from checkpointd.retention.removal import Removal
    from tests.helpers.retention import Field


@pytest.mark.parametrize("kind", WRITERS)
def test_what_is_pruned_comes_back_whole(field: Field, kind: str) -> None:
    """Golden records go along and come back; the ledger knows both times."""
    field.write(kind, 4)
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
    assert items[0].manifest.reason == "it is valid, and not kept by keep_last"
    for item in items:
        field.pruner.restore(item.path)
    assert tree(field.root) == before
    assert field.state("ckpt-0") is State.VALID
    assert {p.note for p in field.ledger.pins()} == {"restored from the trash"}
    assert field.prune() == []


@pytest.mark.parametrize("name", ["-rf", "a\nb", "\udcff\udcfe", "..x", "x" * 200, "*"])
def test_any_name_that_a_file_can_have_is_pruned(field: Field, name: str) -> None:
    """Newlines, leading dashes and bytes that are no text are names like any other."""
    odd = record_verdict(field.ledger, write_file(field.root / name / f"{name}.h5", 500))
    for number in range(2):
        record_verdict(field.ledger, write_file(field.root / f"m-{number}.h5", 1000.0 + number))
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


def apply_after(
    field: Field, layout: str, change: Callable[[Path], None]
) -> tuple[Removal, dict[str, bytes]]:
    """Change what a plan removes, and apply it: the refusal, and the files after the change."""
    field.write(layout, 3)
    made = field.plan()
    change(field.root / "ckpt-0")
    before = tree(field.root)
    (result,) = field.pruner.apply(made)
    assert not result.done
    return result, before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_rewrite, "touched since it was verified"),
        (_replace, "replaced since it was verified"),
        (_link, "not a regular file"),
        (_directory, "not a regular file"),
        (lambda path: path.write_bytes(b"longer than before"), "written again"),
    ],
)
def test_what_is_not_what_was_verified_stays(
    field: Field, change: Callable[[Path], None], message: str
) -> None:
    """Even with the size and the time of before; it is to be verified again."""
    result, before = apply_after(field, "file", change)
    assert message in result.reason
    assert result.suspects == (str(field.root / "ckpt-0"),)
    assert tree(field.root) == before
    assert field.pruner.trash.items() == []
    assert field.state("ckpt-0") is State.VALID


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: (d / "new.txt").write_text("mine"), "also holds 'new.txt'"),
        (lambda d: (d / "logs").mkdir(), "also holds 'logs'"),
        (lambda d: (d / "variables" / "new.txt").write_text("x"), "'/variables/new.txt' was"),
        (lambda d: (d / "saved_model.pb").unlink(), "'/saved_model.pb' is missing"),
        (lambda d: (d / "variables" / "link").symlink_to("/etc"), "'/variables/link' was not"),
        (lambda d: (d / "variables" / "variables.index").write_text("x"), "written again"),
    ],
)
def test_a_directory_is_looked_at_whole(
    field: Field, change: Callable[[Path], None], message: str
) -> None:
    """A file that was added to it is not removed with it."""
    result, before = apply_after(field, "directory", change)
    assert message in result.reason
    assert tree(field.root) == before


@pytest.mark.parametrize("kind", ["directory", "keras"])
def test_a_directory_that_holds_something_else_is_kept_and_counts(field: Field, kind: str) -> None:
    """What is no part of it would go with it; it is as it was verified all the same."""
    field.write(kind, 4)
    (field.root / "ckpt-0" / "best.keras").write_bytes(b"another model")
    refused, done = field.prune()
    assert (refused.done, refused.suspects, done.done) == (False, (), True)
    assert "also holds 'best.keras'" in refused.reason
    assert (field.root / "ckpt-0" / "best.keras").exists()
    watch = WatchSettings(name="w", path=field.root, retention=POLICY)
    planned = plan_watch(field.ledger, watch, time.time())
    kept = {d.entry.path: d for d in planned.kept}
    assert kept[str(field.root / "ckpt-0")].rule == "contains"
    assert "not part of it" in kept[str(field.root / "ckpt-0")].reasons[0]
    assert planned.suspects == ()


def test_no_link_on_the_way_is_followed(field: Field, tmp_path: Path) -> None:
    """A parent that was swapped for a link leads nowhere."""
    for number in range(3):
        record_verdict(
            field.ledger, write_file(field.root / "run" / f"m-{number}.h5", 1000.0 + number)
        )
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
    field.write("file", 3)
    (tmp_path / "outside").mkdir()
    (field.root / ".checkpointd-trash").symlink_to(tmp_path / "outside")
    (result,) = field.prune()
    assert not result.done
    assert list((tmp_path / "outside").iterdir()) == []
    assert (field.root / "ckpt-0").exists()


@pytest.mark.parametrize("how", ["state file", "link"])
def test_what_comes_to_be_named_meanwhile_stays(field: Field, how: str) -> None:
    """References are read anew right before each removal."""
    field.write("file", 3)
    made = field.plan()
    if how == "link":
        (field.root / "latest").symlink_to("ckpt-0")
    else:
        (field.root / "checkpoint").write_text('model_checkpoint_path: "ckpt-0"\n')
    (result,) = field.pruner.apply(made)
    assert not result.done
    assert "names it now" in result.reason


def test_a_reference_that_comes_while_it_is_moved_brings_it_back(field: Field) -> None:
    """It is checked once more when it is in the trash."""
    field.write("prefix", 3)
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
    field.write("directory", 3)
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
    first, *_ = field.write("prefix", 3)
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
    """What the ledger calls valid counts only as long as it is on disk unchanged."""
    field.write("file", 4)
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
    first, second, third, *_ = field.write("file", 5)
    made = field.plan()
    field.ledger.pin(first.path)
    record_verdict(field.ledger, (second.checkpoint, second.generation), Verdict.INVALID)
    field.ledger.record_seen(third.checkpoint, third.generation, State.PENDING)
    reasons = [r.reason for r in field.pruner.apply(made) if not r.done]
    assert len(reasons) == 3
    assert "pinned since" in reasons[0]
    assert all("since this was planned" in reason for reason in reasons)


def test_what_has_vanished_is_a_plain_reason(field: Field) -> None:
    """A job that cleans up after itself is no error."""
    field.write("file", 3)
    made = field.plan()
    (field.root / "ckpt-0").unlink()
    (result,) = field.pruner.apply(made)
    assert (result.done, result.reason) == (False, "it no longer exists, or its directory does not")


def test_a_root_that_has_vanished_is_a_plain_reason(field: Field) -> None:
    """So is an unmounted one."""
    field.write("file", 3)
    made = field.plan()
    shutil.rmtree(field.root)
    assert [r.done for r in field.pruner.apply(made)] == [False]
    field.root.mkdir()
    assert [r.done for r in field.pruner.apply(made)] == [False]
    assert field.pruner.recover() == []
    assert field.pruner.trash.items() == []


def test_invalid_ones_past_the_quarantine_go_to_the_trash_too(field: Field) -> None:
    """They need no floor, and come back like the others."""
    bad = record_verdict(field.ledger, write_prefix(field.root / "ckpt-0", 500), Verdict.INVALID)
    for number in (1, 2):
        record_verdict(field.ledger, write_prefix(field.root / f"ckpt-{number}", 500 + number))
    policy = RetentionSettings(keep_last=2, quarantine_ttl="1h", mode="enforce")
    later = plan(field.ledger.entries("w"), policy, time.time() + 7200)
    (result,) = field.pruner.apply(later)
    assert (result.done, result.rule, result.entry.path) == (True, "quarantine_ttl", bad.path)
    field.pruner.restore(bad.path)
    assert field.state("ckpt-0") is State.INVALID


def test_a_removal_that_the_ledger_missed_is_recorded_at_the_next_start(field: Field) -> None:
    """The trash's own manifest is enough to put the ledger right at the next start."""
    field.write("file", 3)
    made = field.plan()

    class Forgetful(Ledger):
        def record_trashed(self, *_: object, **__: object) -> None:
            raise LedgerError("The ledger cannot be written: the disk is full.")

    forgetful = Forgetful(field.ledger._connection, field.ledger._pins)
    (result,) = Pruner(str(field.root), forgetful).apply(made)
    assert result.done
    assert "the ledger is updated at the next start" in result.reason
    assert field.state("ckpt-0") is State.VALID
    assert [r.outcome for r in field.pruner.recover()] == ["moved"]
    assert field.state("ckpt-0") is State.TRASHED
