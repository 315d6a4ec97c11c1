"""`trash list`, `trash empty`, `restore` of many, where no daemon runs."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from checkpointd.ledger import Ledger
from checkpointd.retention import Pruner, plan
from checkpointd.retention import trash as trashes
from tests.helpers.cli import World

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_POLICY = """
[watch.retention]
mode = 'enforce'
keep_last = 1
keep_min_valid = 1
min_age = '1ms'
"""


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Nine checkpoints, of which eight are in the trash."""
    (tmp_path / "state").mkdir()
    world = World(tmp_path)
    with world.config.open("a") as config:
        config.write(_POLICY)
    for step in range(1, 10):
        world.put(f"m_epoch_{step}.h5")
    assert "8 moved into the trash" in world.run("prune", "--apply")
    return world


def _rows(world: World, *arguments: str, code: int = 0) -> list[dict[str, Any]]:
    return [json.loads(line) for line in world.run(*arguments, "--json", code=code).splitlines()]


def _on_disk(world: World) -> set[str]:
    return {path.name[8:-3] for path in world.runs.glob("*.h5")}


def test_several_are_restored_at_once(world: World) -> None:
    """By paths and by a pattern; the others stay."""
    output = world.run("restore", "runs/m_epoch_1.h5", str(world.runs / "m_epoch_[23].h5"))
    assert output.count("restored and pinned") == 3
    assert _on_disk(world) == {"1", "2", "3", "9"}
    assert len(_rows(world, "trash", "list")) == 5
    world.run("restore", "runs")
    assert len(_on_disk(world)) == 9


def test_an_older_item_of_a_path_is_restored_by_the_id_in_the_list(world: World) -> None:
    """The path alone brings the newer one back."""
    for name in ("m_epoch_1.h5", "m_epoch_10.h5"):
        world.put(name)
    world.run("prune", "--apply")
    newer, older = [row for row in _rows(world, "trash", "list") if "epoch_1." in row["path"]]
    assert (newer["restore"], older["restore"]) == (newer["path"], older["item"])
    listed = " ".join(world.run("trash", "list").split())
    assert f"an older item of that path: `checkpointd restore {older['item']}`" in listed
    world.run("restore", older["item"])
    assert [row["item"] for row in _rows(world, "trash", "list") if "epoch_1." in row["path"]] == [
        newer["item"]
    ]


def test_what_is_restored_can_be_seen_before(world: World) -> None:
    """With those whose place is taken."""
    (world.runs / "m_epoch_1.h5").write_bytes(b"a newer save")
    output = world.run("restore", "--dry-run", "*_[12].h5")
    assert "cannot be restored: 'm_epoch_1.h5' exists again: move that away first" in output
    assert "1 of these would be restored; nothing was changed" in output
    assert _on_disk(world) == {"1", "9"}


def test_items_whose_path_is_taken_stay_and_the_others_are_restored(world: World) -> None:
    """And the exit code says that not all came."""
    (world.runs / "m_epoch_1.h5").write_bytes(b"a newer save")
    output = world.run("restore", "*_[12].h5", code=5)
    assert "restored and pinned" in output
    assert _on_disk(world) == {"1", "2", "9"}
    assert (world.runs / "m_epoch_1.h5").read_bytes() == b"a newer save"
    assert len(_rows(world, "trash", "list")) == 7
    assert "restored" in world.run("restore", "*_2.h5", "*_3.h5", code=5)
    assert _on_disk(world) == {"1", "2", "3", "9"}


def test_what_was_pruned_lately_is_restored(world: World) -> None:
    """Not what was pruned before; and nothing needs a name then."""
    trash = world.runs / ".checkpointd-trash"
    rows = _rows(world, "trash", "list")
    for row in rows[:6]:
        manifest = trash / row["item"] / "manifest.json"
        data = json.loads(manifest.read_text())
        manifest.write_text(json.dumps({**data, "at": data["at"] - 7200}))
    _forget_clock(world)
    assert len(_rows(world, "restore", "--since", "1h", "--dry-run")) == 2
    world.run("restore", "--since", "1h")
    assert len(_on_disk(world)) == 3
    assert "Name what to restore" in world.run("restore", code=2)
    _forget_clock(world)
    assert "Nothing in the trash matches" in world.run("restore", "--since", "1h", code=4)


def _forget_clock(world: World) -> None:
    """Have ages counted by the wall clock: the tests change it in files."""
    import sqlite3

    with sqlite3.connect(world.state / "ledger.sqlite") as connection:
        connection.execute("DELETE FROM meta WHERE key = 'clock'")


def test_the_trash_is_emptied_by_hand(world: World) -> None:
    """It is shown before; nothing is deleted without --apply."""
    output = world.run("trash", "empty", "a")
    assert "8 to delete" in output
    assert "Nothing was changed" in output
    assert len(_rows(world, "trash", "list")) == 8
    assert "Nothing in the trash" in world.run("trash", "empty", "--older-than", "1h", "--apply")
    assert "8 of 8 deleted" in world.run("trash", "empty", "--apply")
    assert "The trash is empty" in world.run("trash", "list")
    assert _on_disk(world) == {"9"}


def test_a_watch_that_is_not_configured_any_more(world: World) -> None:
    """Its trash is listed, marked, restorable and can be emptied."""
    config = world.config.read_text()
    world.config.write_text(config[: config.index("[[watch]]")])
    output = world.run("trash", "list")
    assert output.count("no watch has this trash any more; it was that of a") == 8
    assert all(not row["configured"] for row in _rows(world, "trash", "list", "a"))
    world.run("restore", str(world.runs / "m_epoch_1.h5"))
    assert _on_disk(world) == {"1", "9"}
    assert "7 of 7 deleted" in world.run("trash", "empty", "a", "--apply")


def test_nothing_expires_while_pruning_is_off(world: World) -> None:
    """And the list says so."""
    world.config.write_text(world.config.read_text().replace("'enforce'", "'off'"))
    output = world.run("trash", "list")
    assert output.count("never") >= 8
    assert "Nothing expires while mode is off" in output


def test_what_a_crash_left_half_moved_is_listed_and_comes_back_whole(world: World) -> None:
    """It is marked."""
    ledger = Ledger.open(world.state)
    world.put("m_epoch_10.h5")
    child = os.fork()
    if child == 0:
        steps: Iterator[int] = iter(range(9))

        def die(step: str) -> None:
            if step == "compare" and next(steps) == 0:
                os._exit(9)

        try:
            from checkpointd.config import RetentionSettings

            policy = RetentionSettings(keep_last=1, keep_min_valid=1, min_age="1ms", mode="enforce")
            own = Ledger.open(world.state)
            Pruner(str(world.runs), own, on_step=die).apply(plan(own.entries("a"), policy, 1e12))
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    ledger.close()
    assert not (world.runs / "m_epoch_9.h5").exists()
    assert "unfinished: half moved" in world.run("trash", "list")
    world.run("restore", "runs/m_epoch_9.h5")
    assert _on_disk(world) == {"9", "10"}


def test_another_directory_for_the_trash(world: World) -> None:
    """What was in the old one is still listed and comes back."""
    elsewhere = world.runs.parent / "elsewhere"
    world.config.write_text(world.config.read_text() + f'trash_dir = "{elsewhere}"\n')
    world.put("m_epoch_10.h5")
    assert "1 moved into the trash" in world.run("prune", "--apply")
    place = trashes.trash_place(str(world.runs), str(elsewhere))
    assert len(os.listdir(place.directory)) == 2
    assert len(_rows(world, "trash", "list")) == 9
    world.run("restore", "runs/m_epoch_9.h5", "runs/m_epoch_1.h5")
    assert _on_disk(world) == {"1", "9", "10"}
