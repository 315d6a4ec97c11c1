"""What a script asks of the ledger: `latest`, `list`, `show`, `wait`, `pin`, without a daemon."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import sqlite3
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from checkpointd.core.format_specs import Format
from checkpointd.core.verdict import Verdict
from checkpointd.formats import generation_of
from checkpointd.ledger import Ledger, State
from tests.helpers.cli import World, environment

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def world(tmp_path: Path) -> World:
    """An empty world; the ledger comes with the first checkpoint."""
    (tmp_path / "state").mkdir()
    return World(tmp_path)


def test_latest_prints_the_path_and_nothing_else(world: World) -> None:
    """By the watch's name, its directory, a path relative or through a symlink: the same."""
    world.put("ckpt_epoch_1.h5")
    newest = world.put("ckpt_epoch_2.h5")
    world.put("ckpt_epoch_3.h5", Verdict.INVALID)
    world.put("ckpt_epoch_4.h5", None)
    (world.home / "link").symlink_to(world.runs)
    for where in ("a", "runs", str(world.runs), "./runs/", "link", "."):
        assert world.run("latest", where) == f"{newest}\n"


def test_latest_trusts_only_what_still_is_the_content_that_was_verified(world: World) -> None:
    """What was written over or removed since is passed by."""
    oldest = world.put("m_epoch_1.h5")
    changed, removed = world.put("m_epoch_2.h5"), world.put("m_epoch_3.h5")
    changed.write_bytes(b"something else")
    removed.unlink()
    assert world.run("latest", "a") == f"{oldest}\n"
    oldest.unlink()
    assert "There is no valid checkpoint" in world.run("latest", "a", code=4)


def test_latest_moves_no_cursor_on_a_terminal(world: World) -> None:
    """A script gets the bytes of a name as they are, a person what can be read."""
    (world.runs / "a\x1b[2J\nb").mkdir()
    newest = world.put("a\x1b[2J\nb/m_epoch_1.h5")
    assert world.run("latest", "a") == f"{newest}\n"
    ours, theirs = pty.openpty()
    with os.fdopen(ours, "rb", buffering=0) as terminal:
        subprocess.run(
            [sys.executable, "-m", "checkpointd", "--config", str(world.config), "latest", "a"],
            env=environment(world.home),
            stdout=theirs,
            check=True,
            timeout=60,
        )
        os.close(theirs)
        message = terminal.read(4096).decode()
    assert message == f"{world.runs}/a\\x1b[2J\\nb/m_epoch_1.h5\r\n"


def test_latest_takes_what_was_started_again_for_newer(world: World) -> None:
    """A lower step that was saved later belongs to the current run."""
    world.put("m_epoch_90.h5")
    again = world.put("m_epoch_1.h5")
    assert world.run("latest", "a") == f"{again}\n"


def test_latest_refuses_to_choose_between_series(world: World) -> None:
    """It lists them, and takes the label with --series."""
    one, two = world.put("m_epoch_1.h5"), world.put("best.h5")
    message = world.run("latest", "a", code=2)
    assert message.splitlines()[1:] == ["  --series best.h5", "  --series 'm_epoch_{}.h5'"]
    assert world.run("latest", "a", "--series", "m_epoch_{}.h5") == f"{one}\n"
    assert world.run("latest", "a", "--series", "best.h5") == f"{two}\n"
    unknown = world.run("latest", "a", "--series", "x", code=4)
    assert "no series 'x' in a; choose from 'best.h5', 'm_epoch_{}.h5'" in unknown


def test_latest_asks_for_what_was_shown(world: World) -> None:
    """An older one that has shown more wins over a newer that has not."""
    resumes = world.put("m_epoch_1.h5", shown=("intact", "loads", "resumes"))
    newest = world.put("m_epoch_2.h5")
    assert world.run("latest", "a", "--requires", "resumes") == f"{resumes}\n"
    assert world.run("latest", "a", "--requires", "intact,resumes") == f"{resumes}\n"
    message = world.run("latest", "a", "--requires", "predicts", code=4)
    assert message.startswith("No valid checkpoint in a has shown predicts.")
    assert f"The newest valid one, {newest}, has shown intact, loads;" in message


def test_latest_gives_a_name_as_its_bytes(world: World) -> None:
    """A shell gets what is on disk, be it UTF-8 or not."""
    path = world.put("m\udcff.h5")
    assert world.run("latest", "a") == f"{path}\n"


def test_list_shows_the_newest_first(world: World) -> None:
    """As a table, and as objects."""
    first = world.put("m_epoch_1.h5")
    world.put("m_epoch_2.h5", Verdict.INVALID)
    world.put("m_epoch_3\n\udcff.h5", None)
    lines = world.run("list").splitlines()
    assert lines[0].split() == ["verdict", "step", "size", "age", "shown", "series", "path"]
    assert lines[1].split()[0] == "pending"
    assert lines[1].endswith(r"m_epoch_3\n\xff.h5")
    assert lines[2].split()[:2] == ["invalid", "2"]
    assert lines[4].split()[-4:] == ["intact,", "loads", "m_epoch_{}.h5", str(first)]
    rows = [json.loads(line) for line in world.run("list", "a", "--json").splitlines()]
    assert [row["state"] for row in rows] == ["pending", "invalid", "valid"]
    assert rows[1]["reason"] == "finite.nan"
    assert "There is no watch 'b'; choose from a." in world.run("list", "b", code=2)


def test_list_is_short_unless_all_are_wanted(world: World) -> None:
    """Fifty, and a word about the rest."""
    for step in range(52):
        world.put(f"m_epoch_{step}.h5")
    lines = world.run("list").splitlines()
    assert len(lines) == 1 + 50 + 1
    assert "--all" in lines[-1]
    assert len(world.run("list", "--all", "--json").splitlines()) == 52


def test_show_prints_the_whole_report(world: World) -> None:
    """With what to do; and says so if the content has changed since."""
    path = world.put("m_epoch_2.h5", Verdict.INVALID)
    shown = world.run("show", "runs/m_epoch_2.h5")
    assert shown.startswith(f"INVALID       {path}  finite.nan  kernel: 3 of 32 values are NaN")
    for text in ("hdf5", "keras 3.15.1", "step 2", "What to do: The weights are destroyed"):
        assert text in shown
    assert "not the one that was verified" not in shown
    path.write_bytes(b"something else")
    assert "not the one that was verified" in world.run("show", str(path))
    assert json.loads(world.run("show", "--json", str(path)))["checks"][0]["outcome"] == "fail"


def test_show_of_what_is_not_known(world: World) -> None:
    """4 for a file that nobody has seen, 2 for one that is not there."""
    world.put("m_epoch_2.h5")
    (world.runs / "new.h5").touch()
    assert "is not known" in world.run("show", "runs/new.h5", code=4)
    assert "there is no such path" in world.run("show", "runs/none.h5", code=2)


def test_wait_gives_the_verdict_that_is_there(world: World) -> None:
    """As its exit code."""
    world.put("good.h5")
    world.put("bad.h5", Verdict.INVALID)
    assert world.run("wait", "runs/good.h5").startswith("VALID ")
    assert "finite.nan" in world.run("wait", "runs/bad.h5", code=1)


def test_wait_without_a_daemon_ends(world: World) -> None:
    """Nobody would ever give a verdict; outside of every watch neither."""
    world.put("waiting.h5", None)
    message = world.run("wait", "runs/waiting.h5", "--timeout", "1s", code=69)
    assert "no daemon is running" in message
    (world.home / "other.h5").touch()
    assert "is not in any watch" in world.run("wait", "other.h5", code=2)


def test_a_pin_is_kept_without_a_daemon(world: World) -> None:
    """And shown; unpinning what is not pinned is reported."""
    path = world.put("m_epoch_1.h5")
    assert world.run("pin", "runs/m_epoch_1.h5", "--note", "shipped") == f"pinned  {path}\n"
    assert "pinned" in world.run("list")
    assert "never pruned" in world.run("show", str(path))
    assert json.loads(world.run("unpin", "--json", str(path))) == {
        "path": str(path),
        "pinned": False,
    }
    assert "is not pinned" in world.run("unpin", str(path), code=4)
    assert "there is no such path" in world.run("pin", "runs/none.h5", code=2)


def test_a_link_pins_what_it_leads_to_and_pins_are_listed(world: World) -> None:
    """Also where the file is gone."""
    path = world.put("m_epoch_1.h5")
    link = world.home / "prod.h5"
    link.symlink_to(path)
    assert world.run("pins") == "Nothing is pinned.\n"
    assert world.run("pin", str(link), "--note", "shipped") == f"pinned  {path}\n"
    path.unlink()
    (row,) = [json.loads(line) for line in world.run("pins", "--json").splitlines()]
    assert (row["path"], row["note"], row["exists"]) == (str(path), "shipped", False)
    assert "nothing is there" in world.run("pins")
    world.run("unpin", str(path))
    assert world.run("pins") == "Nothing is pinned.\n"


def test_a_report_of_another_generation_is_no_verdict(world: World) -> None:
    """`wait` speaks of the content that is on disk now."""
    path = world.put("m.h5")
    path.write_bytes(b"a newer save")
    assert "no daemon is running" in world.run("wait", str(path), "--timeout", "1s", code=69)
    ledger = Ledger.open(world.state)
    entry = ledger.entry(str(path))
    assert entry is not None
    assert entry.report is not None
    now = generation_of(str(path), Format.HDF5)
    ledger.record_seen(entry.checkpoint, now, State.PENDING)
    ledger.record_report(replace(entry.report, generation=now))
    ledger.close()
    assert world.run("wait", str(path)).startswith("VALID ")


@pytest.mark.parametrize("spoil", ["row", "file"])
def test_a_damaged_ledger_has_a_message_of_its_own(world: World, spoil: str) -> None:
    """It is the state directory's trouble: 69, and never a bug in checkpointd."""
    path = str(world.put("m.h5"))
    if spoil == "row":
        with contextlib.closing(sqlite3.connect(world.state / "ledger.sqlite")) as ledger:
            ledger.execute("UPDATE checkpoints SET generation = '{'")
            ledger.commit()
    else:
        (world.state / "ledger.sqlite").write_bytes(b"no database " * 1000)
    for command in (
        ("list",),
        ("latest", "a"),
        ("show", path),
        ("prune",),
        ("unpin", path),
        ("wait", path, "--timeout", "0.2s"),
    ):
        message = world.run(*command, code=69)
        assert "ledger" in message
        assert "bug in checkpointd" not in message
        assert len(message.splitlines()) == 1
