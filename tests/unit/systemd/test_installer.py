"""`systemd install` into a root directory of its own."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from checkpointd.config import ConfigError
from checkpointd.systemd import installer, service
from checkpointd.systemd.disk import Disk
from checkpointd.systemd.layout import HOST, for_user, own
from checkpointd.systemd.plan import Step

if TYPE_CHECKING:
    from pathlib import Path

    from checkpointd.systemd.installer import Outcome
    from checkpointd.systemd.layout import Layout

pytestmark = pytest.mark.usefixtures("program_of_the_system")


def install(
    root: Path, place: Layout = HOST, *watches: str, dry_run: bool = False
) -> tuple[list[Step], Outcome]:
    """What was done with each file, and what else is printed."""
    disk = Disk(str(root), dry_run=dry_run)
    done = installer.install(disk, place, watches, str(root))
    return [step for step, _ in disk.steps], done


def test_a_dry_run_says_the_same_and_writes_nothing(tmp_path: Path) -> None:
    """Not even a directory."""
    steps, done = install(tmp_path, HOST, "/data/runs", dry_run=True)
    assert set(steps) == {Step.WRITE}
    assert list(tmp_path.iterdir()) == []
    assert install(tmp_path, HOST, "/data/runs") == (steps, done)


def test_twice_is_once(tmp_path: Path) -> None:
    """The second time nothing is written."""
    install(tmp_path, HOST, "/data/runs")
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    steps, _ = install(tmp_path)
    assert set(steps) == {Step.NOTHING}
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_the_next_steps_are_those_that_are_left(tmp_path: Path) -> None:
    """Name the directories, start it; after an update restart it."""
    _, done = install(tmp_path)
    assert done.next_steps == [
        "name your directories in /etc/checkpointd/config.toml, then run this command again",
        "systemctl daemon-reload",
        "systemctl enable --now checkpointd",
    ]
    config = tmp_path / "etc/checkpointd/config.toml"
    config.write_text('[[watch]]\nname = "a"\npath = "/data/a"\n', encoding="utf-8")
    steps, done = install(tmp_path)
    assert steps.count(Step.UPDATE) == 1
    assert done.next_steps == [
        "systemctl daemon-reload",
        "systemctl restart checkpointd.socket checkpointd.service",
    ]
    drop_in = tmp_path / "etc/systemd/system/checkpointd.service.d/directories.conf"
    assert "\nRequiresMountsFor=/data/a\n" in drop_in.read_text(encoding="utf-8")


def test_what_was_changed_stays_until_it_is_taken_away(tmp_path: Path) -> None:
    """The new file is beside it, and goes once it is not needed."""
    install(tmp_path, HOST, "/data/runs")
    unit = tmp_path / "etc/systemd/system/checkpointd.service"
    changed = unit.read_text(encoding="utf-8").replace("Nice=10", "Nice=5")
    unit.write_text(changed, encoding="utf-8")
    steps, _ = install(tmp_path)
    assert steps.count(Step.KEEP) == 1
    assert unit.read_text(encoding="utf-8") == changed
    new = unit.with_name("checkpointd.service.new")
    assert "Nice=10" in new.read_text(encoding="utf-8")
    unit.unlink()
    install(tmp_path)
    assert "Nice=10" in unit.read_text(encoding="utf-8")
    assert not new.exists()


def test_uninstall_takes_what_install_wrote(tmp_path: Path) -> None:
    """Config and a changed unit stay; with another service also what both need."""
    me = for_user(os.environ.get("USER") or "root")
    install(tmp_path, HOST, "/data/runs")
    install(tmp_path, me, "/data/own")
    units = tmp_path / "etc/systemd/system"
    installer.uninstall(Disk(str(tmp_path)), me)
    assert {path.name for path in units.iterdir()} == {
        "checkpointd.service",
        "checkpointd.service.d",
        "checkpointd.slice",
        "checkpointd.socket",
    }
    with (units / "checkpointd.socket").open("a", encoding="utf-8") as file:
        file.write("Backlog=9\n")
    done = installer.uninstall(Disk(str(tmp_path)), HOST)
    assert {path.name for path in units.iterdir()} == {"checkpointd.socket"}
    assert "/etc/systemd/system/checkpointd.socket was changed by hand and stays." in done.notes
    assert (tmp_path / "etc/checkpointd/config.toml").exists()


def test_what_starts_with_the_system_is_not_removed(tmp_path: Path) -> None:
    """Its link would lead nowhere."""
    install(tmp_path, HOST, "/data/runs")
    wants = tmp_path / "etc/systemd/system/multi-user.target.wants"
    wants.mkdir()
    (wants / "checkpointd.service").symlink_to("/etc/systemd/system/checkpointd.service")
    with pytest.raises(service.InstallError, match="disable --now"):
        installer.uninstall(Disk(str(tmp_path)), HOST)


def test_a_program_that_the_service_cannot_reach_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Below /tmp, which the service has for itself; or in a path that a unit cannot hold."""
    for program, words in (("/tmp/venv/bin/c", "/tmp of its own"), ("/opt/a b", "characters")):  # noqa: S108
        monkeypatch.setattr(service, "find_program", lambda found=program: found)
        with pytest.raises(service.InstallError, match=words):
            install(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_cannot_be_watched_is_refused(tmp_path: Path) -> None:
    """Before anything is written."""
    with pytest.raises(ConfigError, match="cannot be watched"):
        install(tmp_path, HOST, "/")
    with pytest.raises(ConfigError, match="overlap"):
        install(tmp_path, HOST, "/data", "/data/runs")
    assert list(tmp_path.iterdir()) == []


def test_only_root_installs_for_a_user(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody else gets a service of their own systemd."""
    monkeypatch.setenv("XDG_CONFIG_HOME", "/home/alice/.config")
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setenv("HOME", "/home/alice")
    place = service.place_for(None, is_root=False)
    assert place == own("/home/alice/.config", "/home/alice/.local/state")
    assert service.place_for(None, is_root=True) == HOST
    for user, is_root, words in (
        ("alice", False, "sudo"),
        ("root", True, "does not run as root"),
        ("no-such-user", True, "no user no-such-user"),
    ):
        with pytest.raises(service.InstallError, match=words):
            service.place_for(user, is_root=is_root)
