"""Seeing and bringing back while no daemon runs, and the config is broken or gone."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from checkpointd.core.verdict import Verdict
from checkpointd.ledger import Ledger
from checkpointd.retention.vault import Vault
from tests.helpers.cli import World, checkpointd

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def world(tmp_path: Path) -> World:
    """One checkpoint in the trash, one that stays, and a copy of a path whose save is torn."""
    (tmp_path / "state").mkdir()
    world = World(tmp_path)
    with world.config.open("a") as config:
        config.write(
            "[watch.retention]\nmode = 'enforce'\nkeep_last = 1\nkeep_min_valid = 1\n"
            "min_age = '1ms'\nvault = 1\n"
        )
    for step in (1, 2):
        world.put(f"m_epoch_{step}.h5")
    assert "1 moved into the trash" in world.run("prune", "--apply")
    _keep_copy(world)
    world.put("best.h5", Verdict.INVALID)
    return world


def _listed(world: World, *options: str) -> dict[str, bool]:
    """What `trash list` has, by name, and whether it is a copy; with a word about the config."""
    done = checkpointd(*options, "trash", "list", "--json", home=world.home)
    assert done.returncode == 0, done.stderr
    assert "oing on without it" in done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    return {row["path"].rpartition("/")[2]: row["copy"] for row in rows}


@pytest.mark.parametrize("text", ["[daemon]\nstate_dir = 'state'\n[[watch]\n", None])
def test_a_broken_or_missing_config_hides_nothing(world: World, text: str | None) -> None:
    """The ledger knows where everything is; what cannot be known is not made up."""
    if text is None:
        world.config.unlink()
        (world.home / "state" / "checkpointd").symlink_to(world.state)
    else:
        world.config.write_text(text)
    config = ("--config", str(world.config))
    assert _listed(world, *config) == {"m_epoch_1.h5": False, "best.h5": True}
    one, best = world.runs / "m_epoch_1.h5", world.runs / "best.h5"
    done = checkpointd(*config, "restore", str(one), str(best), home=world.home)
    assert done.returncode == 0, done.stderr
    assert one.read_bytes() == b"content of m_epoch_1.h5"
    assert best.read_bytes() == b"content of best.h5"
    if text is not None:
        preview = checkpointd(*config, "prune", home=world.home)
        assert preview.returncode == 78, preview.stderr
        done = checkpointd(*config, "trash", "empty", "--apply", home=world.home)
        assert "1 of 1 deleted" in done.stdout, done.stderr


def _keep_copy(world: World) -> Vault:
    """Save again and copy, as the daemon does."""
    best = world.put("best.h5")
    ledger, vault = Ledger.open(world.state), Vault(str(world.runs))
    entry = ledger.entry(str(best))
    assert entry is not None
    vault.commit(vault.copy(entry))
    ledger.close()
    return vault


def test_a_copy_comes_back_without_a_daemon(world: World) -> None:
    """What is invalid at its path goes to the trash, and does not come back before a copy."""
    best = str(world.runs / "best.h5")
    assert "`checkpointd restore` brings it back" in world.run("show", best)
    assert world.run("restore", best).startswith("restored  ")
    vault = _keep_copy(world)
    assert "is valid as it is" in world.run("restore", best, code=5)
    world.put("best.h5", Verdict.INVALID)
    assert world.run("restore", best).startswith("restored  ")
    assert vault.items() == []
    _keep_copy(world)
    assert "1 of 1 deleted" in world.run("trash", "empty", "--copies", "--apply")
    assert vault.items() == []
