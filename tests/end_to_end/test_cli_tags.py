"""`tag`, `untag`, `tags` and `keep_tags`: under the ledger's own lock, and through a daemon."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.end_to_end.test_root_records import config, confirmed, holds, names, save, verified
from tests.helpers.cli import World
from tests.helpers.daemon import daemon_in, eventually

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.slow(30), pytest.mark.timeout(600)]


def test_tags_without_a_daemon(tmp_path: Path) -> None:
    """A misspelt tag holds, and says so; what is tagged stays, and the rest goes."""
    (tmp_path / "state").mkdir()
    world = World(tmp_path)
    with world.config.open("a") as file:
        file.write("[watch.retention]\nmode = 'enforce'\nkeep_last = 2\nmin_age = '1ms'\n")
        file.write("keep_tags = ['prod,eval', 'paper']\n")
    paths = [world.put(f"m_epoch_{step}.h5") for step in range(1, 8)]
    assert world.run("tags") == "Nothing is tagged.\n"
    assert world.run("tag", str(paths[0]), "prod", "eval") == f"tagged  prod, eval  {paths[0]}\n"
    world.run("tag", "runs/m_epoch_2.h5", "papr", "prod")
    shown = world.run("prune", "--apply")
    assert "No checkpoint of the watch is tagged 'paper', which keep_tags names." in shown
    assert "checkpointd tag PATH TAG" in shown
    assert all(path.exists() for path in paths)
    assert "is not tagged paper; its tags are papr, prod" in world.run(
        "untag", str(paths[1]), "paper", code=4
    )
    world.run("untag", str(paths[1]), "papr")
    world.run("tag", str(paths[1]), "paper")
    listed = {row["path"]: row for row in map(json.loads, world.run("list", "--json").splitlines())}
    assert listed[str(paths[1])]["tags"] == ["paper", "prod"]
    assert "tagged eval, prod" in world.run("list")
    assert "paper, prod" in world.run("show", str(paths[1]))
    assert "it is tagged prod and eval (keep_tags)" in world.run("prune")
    world.run("prune", "--apply")
    assert [path.exists() for path in paths] == [True, True, False, False, False, True, True]
    first = json.loads(world.run("tags", "--json").splitlines()[0])
    assert (first["path"], first["tag"], first["exists"]) == (str(paths[0]), "prod", True)
    untagged = json.loads(world.run("untag", str(paths[1]), "--json"))
    assert untagged == {"path": str(paths[1]), "tags": ["paper", "prod"], "tagged": False}
    assert "has no tags" in world.run("untag", str(paths[1]), code=4)
    assert "a tag has no spaces" in world.run("tag", str(paths[0]), "two words", code=2)


def test_tags_through_a_daemon(tmp_path: Path, made: Path) -> None:
    """The daemon plans again at once; its copy in the root is found with a new state directory."""
    runs = tmp_path / "runs"
    runs.mkdir()
    for number in range(5):
        save(made, runs, number)
    text = config("enforce") + 'keep_tags = ["prod,eval"]\n'
    with daemon_in(tmp_path, text) as daemon:
        daemon.start()
        verified(daemon, runs)
        eventually("the hold", lambda: "tag_missing" in holds(daemon))
        confirmed(daemon)
        assert names(runs) == set("01234")
        chosen = runs / "m_epoch_1.weights.h5"
        for tag in ("prod", "eval"):
            done = daemon.cli("tag", str(chosen), tag)
            assert done.returncode == 0, done.stderr
        eventually("no hold", lambda: "tag_missing" not in holds(daemon))
        assert daemon.entry(chosen)["tags"] == ["eval", "prod"]
        confirmed(daemon)
        eventually("the pruning", lambda: names(runs) == {"1", "3", "4"})
        copy = runs / ".checkpointd" / "pins.json"
        eventually("the copy", lambda: len(json.loads(copy.read_bytes())["tags"]) == 2)
        daemon.stop()
        (tmp_path / "state").rename(tmp_path / "lost")
        daemon.start()
        verified(daemon, runs)
        eventually("the tags", lambda: daemon.entry(chosen).get("tags") == ["eval", "prod"])
        assert daemon.cli("prune", "runs", "--accept-rebuilt").returncode == 0
        assert daemon.cli("untag", str(chosen)).returncode == 0
        eventually("the hold", lambda: "tag_missing" in holds(daemon))
