"""A daemon finds pins and trash again, and prunes nothing that its ledger cannot know."""

from __future__ import annotations

import json
import os
import shutil
import time
from typing import TYPE_CHECKING

import pytest

from checkpointd.ledger import Ledger
from tests.helpers.daemon import CONFIG, Daemon, daemon_in, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.slow(30), pytest.mark.timeout(600)]

_POLICY = """
[watch.verify]
skip = ["drift", "load", "signatures", "inference", "predictions", "resume"]

[watch.retention]
mode = "{mode}"
keep_last = 2
min_age = "1ms"
"""


@pytest.fixture
def home(tmp_path: Path, made: Path) -> Path:
    """A root with six versions of one model."""
    home = tmp_path / "home"
    (home / "runs").mkdir(parents=True)
    for number in range(6):
        save(made, home / "runs", number)
    return home


def save(made: Path, root: Path, number: int) -> Path:
    """Save one version, as by a job that saves every ten minutes."""
    path = root / f"m_epoch_{number}.weights.h5"
    shutil.copyfile(made / "only.weights.h5", path.with_name("new"))
    at = time.time() - 7200 + 600 * number
    os.utime(path.with_name("new"), (at, at))
    path.with_name("new").rename(path)
    return path


def config(mode: str, root: str = "runs", state: str = "state") -> str:
    """A config of one watch."""
    text = CONFIG.replace('path = "runs"', f'path = "{root}"').replace('"state"', f'"{state}"')
    return text + _POLICY.format(mode=mode)


@pytest.fixture
def daemon(home: Path) -> Iterator[Daemon]:
    """A daemon on that root."""
    with daemon_in(home, config("dry-run")) as made:
        yield made


def names(root: Path) -> set[str]:
    """The numbers of the versions that are in a root."""
    return {path.name[8:-11] for path in root.glob("*.weights.h5")}


def holds(daemon: Daemon) -> set[str]:
    """The reasons for which the daemon prunes nothing."""
    return {hold["reason"] for watch in daemon.status()["watches"] for hold in watch["holds"]}


def verified(daemon: Daemon, root: Path) -> None:
    """Wait until everything that is still there has a verdict."""

    def done() -> bool:
        left = [p for p in root.glob("*.weights.h5") if daemon.entry(p).get("state") != "valid"]
        return not any(path.exists() for path in left)

    eventually("all verdicts", done)


def restart(daemon: Daemon, text: str) -> None:
    """Start again with another config."""
    daemon.stop()
    daemon.config.write_text(text)
    daemon.start()


def test_pins_hold_when_the_root_is_renamed(daemon: Daemon, home: Path) -> None:
    """Pinned in a dry run, by the path, through a link to the root and through one to the file."""
    runs = home / "runs"
    (home / "alias").symlink_to(runs)
    (home / "prod.h5").symlink_to(runs / "m_epoch_1.weights.h5")
    daemon.start()
    verified(daemon, runs)
    for path in (
        runs / "m_epoch_0.weights.h5",
        home / "prod.h5",
        home / "alias/m_epoch_2.weights.h5",
    ):
        assert daemon.cli("pin", str(path)).returncode == 0
    daemon.stop()
    (home / "prod.h5").unlink()
    runs.rename(home / "moved")
    restart(daemon, config("enforce", "moved"))
    verified(daemon, home / "moved")
    confirmed(daemon)
    eventually("the pruning", lambda: names(home / "moved") == {"0", "1", "2", "4", "5"})
    assert not (home / "moved" / ".checkpointd-trash" / ".checkpointd").exists()
    unpinned = daemon.cli("unpin", str(home / "moved" / "m_epoch_1.weights.h5"))
    assert unpinned.returncode == 0, unpinned.stderr
    eventually("the pruning", lambda: names(home / "moved") == {"0", "2", "4", "5"})


def confirmed(daemon: Daemon) -> None:
    """Carry out by hand what is only shown the first time."""
    eventually("a plan", lambda: daemon.cli("prune").stdout)
    daemon.cli("prune", "--apply")


def test_a_replaced_state_directory_prunes_nothing_until_it_is_accepted(
    daemon: Daemon, home: Path, made: Path
) -> None:
    """The pins come from the root, the trash does not expire, and a person decides."""
    runs = home / "runs"
    daemon.start()
    daemon.verdict(runs / "m_epoch_3.weights.h5")
    assert daemon.cli("pin", str(runs / "m_epoch_3.weights.h5")).returncode == 0
    restart(daemon, config("enforce"))
    verified(daemon, runs)
    confirmed(daemon)
    eventually("the pruning", lambda: names(runs) == {"3", "4", "5"})
    copy = runs / ".checkpointd" / "pins.json"
    eventually("the copy", lambda: len(json.loads(copy.read_bytes())["pins"]) == 1)
    daemon.stop()
    shutil.rmtree(home / "state")
    save(made, runs, 6)
    restart(daemon, config("enforce") + 'trash_ttl = "1s"\n')
    verified(daemon, runs)
    eventually("the holds", lambda: holds(daemon) >= {"ledger_rebuilt", "trash_unknown"})
    assert "--accept-rebuilt" in daemon.cli("status").stdout
    assert names(runs) == {"3", "4", "5", "6"}
    assert daemon.entry(runs / "m_epoch_3.weights.h5")["pinned"]
    listed = daemon.cli("trash", "list", "--json").stdout.splitlines()
    assert len(listed) == 3
    assert daemon.cli("restore", str(runs / "m_epoch_0.weights.h5")).returncode == 0
    daemon.verdict(runs / "m_epoch_0.weights.h5")
    accepted = daemon.cli("prune", "runs", "--accept-rebuilt")
    assert accepted.returncode == 0, accepted.stderr
    eventually(
        "no hold about the ledger", lambda: not holds(daemon) & {"ledger_rebuilt", "trash_unknown"}
    )
    confirmed(daemon)
    eventually("the pruning", lambda: names(runs) == {"0", "3", "5", "6"})


def test_an_older_ledger_is_put_back(daemon: Daemon, home: Path, made: Path) -> None:
    """What it calls valid is read again before it counts."""
    runs = home / "runs"
    restart(daemon, config("enforce"))
    verified(daemon, runs)
    confirmed(daemon)
    eventually("the pruning", lambda: names(runs) == {"4", "5"})
    daemon.stop()
    shutil.copytree(home / "state", home / "backup")
    daemon.start()
    daemon.verdict(save(made, runs, 6))
    eventually("the pruning", lambda: names(runs) == {"5", "6"})
    newest = runs / "m_epoch_6.weights.h5"
    daemon.stop()
    shutil.rmtree(home / "state")
    (home / "backup").rename(home / "state")
    before = newest.stat()
    data = bytearray(newest.read_bytes())
    data[-40:] = bytes(40)
    newest.write_bytes(data)
    os.utime(newest, ns=(before.st_atime_ns, before.st_mtime_ns))
    daemon.start()
    ledger = Ledger.open(home / "state", readonly=True)
    eventually("the older ledger", lambda: ledger.accepted("runs", "ledger.json"))
    eventually("everything is read", lambda: not ledger.unread("runs"))
    ledger.close()
    eventually("the end of the hold", lambda: "ledger_put_back" not in holds(daemon))
    assert names(runs) == {"5", "6"}


def test_two_daemons_never_prune_one_root(daemon: Daemon, home: Path, tmp_path: Path) -> None:
    """The second one verifies, and says who prunes."""
    runs = home / "runs"
    restart(daemon, config("enforce"))
    verified(daemon, runs)
    confirmed(daemon)
    eventually("the pruning", lambda: names(runs) == {"4", "5"})
    second = tmp_path / "second"
    (second / "runs").mkdir(parents=True)
    text = config("enforce", str(runs)).replace("keep_last = 2", "keep_last = 1")
    with daemon_in(second, text + 'trash_ttl = "1s"\nkeep_min_valid = 1\n') as other:
        other.start()
        verified(other, runs)
        eventually("the hold", lambda: "root_locked" in holds(other))
        assert f"process {daemon.process.pid}" in other.cli("status").stdout  # type: ignore[union-attr]
        assert names(runs) == {"4", "5"}
        assert len(daemon.cli("trash", "list", "--json").stdout.splitlines()) == 4
        other.stop()
