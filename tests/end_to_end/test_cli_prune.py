"""`prune`, `trash list` and `restore` where no daemon runs: under the ledger's own lock."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from checkpointd.core.verdict import Verdict
from checkpointd.ledger import Ledger, StateLock
from tests.helpers.cli import World


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Five valid checkpoints of one series, of which two are to stay."""
    (tmp_path / "state").mkdir()
    world = World(tmp_path)
    with world.config.open("a") as config:
        config.write("[watch.retention]\nmode = 'enforce'\nkeep_last = 2\nmin_age = '1ms'\n")
    for step in range(1, 6):
        world.put(f"m_epoch_{step}.h5")
    return world


def test_prune_says_what_it_would_do_and_touches_nothing(world: World) -> None:
    """Keep or remove, with a reason for each."""
    world.put("odd_\udcff.h5", Verdict.INVALID)
    before = sorted(world.runs.iterdir())
    output = world.run("prune")
    assert output.count("\nremove ") == 3
    assert output.count("\nkeep ") == 3
    assert "3 kept, 3 to remove" in output
    assert "Nothing was changed" in output
    assert r"odd_\xff.h5" in output
    assert sorted(world.runs.iterdir()) == before
    rows = [json.loads(line) for line in world.run("prune", "a", "--json").splitlines()]
    assert [row["reason"] for row in rows if row.get("hold")] == ["not_confirmed"]
    rows = [row for row in rows if "path" in row]
    assert {row["path"][-4:]: row["keep"] for row in rows if "_epoch_" in row["path"]} == {
        "1.h5": False,
        "2.h5": False,
        "3.h5": False,
        "4.h5": True,
        "5.h5": True,
    }
    assert all(row["reasons"] for row in rows)


def test_what_is_pruned_can_be_listed_and_comes_back(world: World) -> None:
    """Also by a relative path; then it is pinned."""
    output = world.run("prune", "--apply")
    assert "3 moved into the trash" in output
    assert sorted(p.name for p in world.runs.glob("*.h5")) == ["m_epoch_4.h5", "m_epoch_5.h5"]
    rows = [json.loads(line) for line in world.run("trash", "list", "--json").splitlines()]
    assert {Path(row["path"]).name for row in rows} == {f"m_epoch_{n}.h5" for n in (1, 2, 3)}
    assert all(abs(row["expires_at"] - row["at"] - 72 * 3600) < 60 for row in rows)
    assert "m_epoch_1.h5" in world.run("trash", "list", "a")
    path = world.runs / "m_epoch_2.h5"
    assert world.run("restore", "runs/m_epoch_2.h5") == f"restored and pinned  {path}\n"
    assert path.exists()
    assert "pinned" in world.run("list")
    assert "is not in the trash" in world.run("restore", "runs/m_epoch_2.h5", code=4)
    assert "0 to remove" in world.run("prune", "--apply")


def test_what_changed_since_its_verdict_is_not_removed(world: World) -> None:
    """It is output, and stays."""
    (world.runs / "m_epoch_1.h5").write_bytes(b"a newer save")
    output = world.run("prune", "--apply")
    assert re.search(r"^keep .*m_epoch_1\.h5$", output, re.MULTILINE)
    assert "verified again" in output
    assert (world.runs / "m_epoch_1.h5").exists()
    assert not (world.runs / "m_epoch_2.h5").exists()


def test_only_one_at_a_time_may_change_anything(world: World) -> None:
    """The command does not wait for the holder of the lock; it leaves that to its user."""
    with StateLock(world.state):
        for command in (["prune", "--apply"], ["pin", "runs/m_epoch_1.h5"]):
            assert len(world.run(*command, code=69).splitlines()) == 1
    ledger = Ledger.open(world.state, readonly=True)
    assert ledger.pins() == []
    ledger.close()


def test_an_unknown_watch_is_an_error(world: World) -> None:
    """By its name in the command, and by its root on disk."""
    assert "There is no watch 'b'; choose from a." in world.run("prune", "b", code=2)
    assert "There is no watch 'b'; choose from a." in world.run("trash", "list", "b", code=2)
    for path in world.runs.iterdir():
        path.unlink()
    world.runs.rmdir()
    assert "on hold" in world.run("prune")
    assert "0 to remove" in world.run("prune", "--apply")


def test_a_watch_that_is_not_enforced_is_left_alone(world: World) -> None:
    """Unless it is named and that is said twice: a dry run is a promise."""
    text = world.config.read_text()
    world.config.write_text(text.replace("'enforce'", "'dry-run'"))
    output = world.run("prune", "--apply", code=7)
    assert "Left alone, because its mode is dry-run" in output
    assert "checkpointd prune --watch a --force --apply" in output
    shown = world.run("prune", "--apply", "--json", code=7)
    rows = [json.loads(line) for line in shown.splitlines()]
    assert rows[-1]["skipped"].startswith("Left alone")
    assert len(list(world.runs.glob("*.h5"))) == 5
    assert "--force needs" in world.run("prune", "--apply", "--force", code=2)
    assert "--force needs" in world.run("prune", "a", "--force", code=2)
    assert "Two watches" in world.run("prune", "a", "--watch", "b", code=2)
    assert "3 moved" in world.run("prune", "--watch", "a", "--force", "--apply")
