"""The command line where config, ledger, path or permissions are not as they should be."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from checkpointd.core.verdict import Verdict
from checkpointd.ledger import Ledger, State
from tests.helpers.cli import World, checkpointd
from tests.helpers.strangers import as_stranger, needs_root, public_directory

if TYPE_CHECKING:
    from pathlib import Path

BROKEN = (
    "[daemon]\nstate_dir = 'state'\n[[watch]]\nname = 'a'\npath = 'runs'\nsettle = = 3\n",
    "[daemon]\nstate_dir = 'state'\n[[watch]]\nname = 'a'\npath = 7\n",
    "daemon.state_dir = 'state'\n[[watch]\nname = 'a'\n",
)


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A world without a daemon."""
    (tmp_path / "state").mkdir()
    return World(tmp_path)


def _writing(world: World, name: str, message: str) -> Path:
    path = world.put(name, None)
    ledger = Ledger.open(world.state)
    entry = ledger.entry(str(path))
    assert entry is not None
    ledger.record_seen(replace(entry.checkpoint), entry.generation, State.WRITING, message)
    ledger.close()
    return path


@pytest.mark.parametrize("text", BROKEN)
def test_a_broken_config_takes_no_command_away_that_needs_only_places(
    world: World, text: str
) -> None:
    """One line warns; what the ledger knows is still printed."""
    path = world.put("m_epoch_1.h5")
    world.config.write_text(text)
    for arguments in (["latest", "a"], ["list"], ["show", str(path)], ["wait", str(path)]):
        done = checkpointd("--config", str(world.config), *arguments, home=world.home)
        assert done.returncode == 0, done.stderr
        assert str(path) in done.stdout
        assert len(done.stderr.splitlines()) == 1
        assert done.stderr.startswith("The config is broken")
    assert "pinned" in world.run("pin", str(path))


def test_a_state_directory_that_is_unknown_is_not_guessed(world: World) -> None:
    """Another ledger's answer would be worse than none."""
    world.put("m_epoch_1.h5")
    world.config.write_text("[daemon]\nstate_dir = 'state\n")
    assert "daemon.state_dir: must be a path in quotes" in world.run("status", code=78)


@pytest.mark.parametrize("command", [["latest", "a"], ["list"], ["wait", "runs/m_epoch_1.h5"]])
def test_a_ledger_that_cannot_be_read_is_reported_at_once(world: World, command: list[str]) -> None:
    """With 69: it is neither that there is no valid one, nor a reason to wait."""
    world.put("m_epoch_1.h5")
    for file in world.state.glob("ledger.sqlite*"):
        file.unlink()
    (world.state / "ledger.sqlite").write_bytes(b"rubbish" * 1000)
    assert "cannot be read" in world.run(*command, code=69)


@needs_root
def test_a_user_who_may_not_read_the_ledger_gets_an_error() -> None:
    """With 69, and whom to be; not that there is no valid one."""
    with public_directory() as home:
        world = World(home)
        world.state.mkdir(mode=0o700)
        world.put("m_epoch_1.h5")
        done = as_stranger("--config", str(world.config), "latest", "a", home=home)
        assert done.returncode == 69
        assert "Only root may: use sudo." in done.stderr


@needs_root
def test_checkpoints_that_may_not_be_looked_at_are_not_called_missing() -> None:
    """With 69 and who may: neither "none is valid" nor "no such path"."""
    with public_directory() as home:
        world = World(home)
        world.state.mkdir()
        path = world.put("m_epoch_1.h5")
        world.state.chmod(0o755)
        for file in world.state.iterdir():
            file.chmod(0o644)
        world.runs.chmod(0o700)
        for command in (["latest", "a"], ["wait", str(path)], ["trash", "list"]):
            done = as_stranger("--config", str(world.config), *command, home=home)
            assert (done.returncode, done.stdout) == (69, ""), done.stderr
            assert "Permission denied. Only root may: use sudo." in done.stderr
        done = as_stranger("--config", str(world.config), "show", str(path), home=home)
        assert (done.returncode, done.stderr) == (0, "")
        assert "what is on disk could not be checked" in done.stdout


@needs_root
def test_an_unreadable_file_is_no_fault_of_ours() -> None:
    """`inspect` reports it in a sentence that names who may, with exit code 69."""
    with public_directory() as home:
        (home / "locked.h5").write_bytes(b"secret")
        (home / "locked.h5").chmod(0)
        done = as_stranger("inspect", "locked.h5", home=home)
        assert (done.returncode, done.stdout) == (69, "")
        assert done.stderr == f"{home}/locked.h5: Permission denied. Only root may: use sudo.\n"


@needs_root
def test_an_unreadable_directory_does_not_stop_the_verification_of_the_others() -> None:
    """It gets its own line; the rest is verified."""
    with public_directory() as home:
        for name in ("locked", "open"):
            (home / name).mkdir()
            (home / name / "empty.keras").touch()
        (home / "locked").chmod(0)
        done = as_stranger("verify", str(home), home=home)
        assert f"INCONCLUSIVE  {home}/locked  structure.unreadable" in done.stdout
        assert f"{home}/open/empty.keras" in done.stdout


def test_a_directory_that_is_no_checkpoint_is_not_waited_for(world: World) -> None:
    """Nobody would ever judge it."""
    (world.runs / "experiment").mkdir()
    printed = world.run("wait", str(world.runs / "experiment"), code=2)
    assert "is a directory and not a checkpoint" in printed


def test_show_names_what_an_unfinished_save_lacks_and_when_it_gets_a_verdict(world: World) -> None:
    """While it is being written, the command says so."""
    path = _writing(world, "m_epoch_1.h5", "12 of 24 bytes are there.")
    printed = world.run("show", str(path))
    assert printed.startswith("WRITING")
    assert "12 of 24 bytes are there." in printed
    assert "at the latest torn_after = 15m after its last change" in printed
    world.config.write_text(BROKEN[0])
    assert "torn_after after its last change" in world.run("show", str(path))


def test_list_gives_only_the_states_that_are_wanted(world: World) -> None:
    """One, several, or a sentence for a word that is no state."""
    good, bad = world.put("m_epoch_1.h5"), world.put("m_epoch_2.h5", Verdict.INVALID)
    waiting = world.put("m_epoch_3.h5", None)
    printed = world.run("list", "--state", "invalid")
    assert str(bad) in printed
    assert str(good) not in printed
    printed = world.run("list", "--state", "invalid", "--state", "pending")
    assert str(waiting) in printed
    assert str(good) not in printed
    assert world.run("list", "--state", "inconclusive") == "No checkpoint is inconclusive.\n"
    assert "'bad' is not a state; choose from valid, invalid" in world.run(
        "list", "--state", "bad", code=2
    )


@needs_root
@pytest.mark.parametrize(("command", "code"), [("run", 78), ("status", 69)])
def test_a_config_that_may_not_be_read_is_named_with_who_may(command: str, code: int) -> None:
    """Nothing is guessed; for a daemon, which systemd must not start again, the config is wrong."""
    with public_directory() as home:
        world = World(home)
        world.config.chmod(0)
        done = as_stranger("--config", str(world.config), command, home=home)
        assert (done.returncode, done.stdout) == (code, "")
        assert "cannot be read: Permission denied. Only root may: use sudo." in done.stderr
