"""The unit that is shipped, checked by systemd's own tools."""

from __future__ import annotations

import configparser
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from checkpointd.systemd.shipped import PROGRAM
from tests.helpers import manual

UNITS = Path(__file__).parents[2] / "systemd"
UNIT = UNITS / "checkpointd.service"
TEMPLATE = UNITS / "checkpointd@.service"
WORKER = UNITS / "checkpointd-worker.service"
EXPOSURE = 12
"""The exposure level, times ten, above which the unit has been relaxed by accident."""

needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None,
    reason="systemd-analyze is not installed: the unit file is NOT checked here",
)


def directives(path: Path = UNIT) -> list[tuple[str, str]]:
    """Every `Key=value` of a unit, in order."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return [
        (key, value)
        for key, found, value in (line.partition("=") for line in lines)
        if found and not key.startswith("#")
    ]


@needs_systemd
@pytest.mark.parametrize(
    "name", ["checkpointd.service", "checkpointd@alice.service", "checkpointd-worker.service"]
)
def test_systemd_knows_every_directive_of_the_units(name: str, tmp_path: Path) -> None:
    """A misspelt or misplaced directive, which systemd would silently ignore, is an error.

    Verified with what they require: the socket and the slice, and the drop-in that is an example.
    """
    shutil.copytree(UNITS, tmp_path, dirs_exist_ok=True)
    for path in tmp_path.glob("*.service"):
        text = path.read_text(encoding="utf-8").replace(PROGRAM, "/bin/true")
        path.write_text(text, encoding="utf-8")
    for kind in ("service", "socket"):
        (tmp_path / f"checkpointd@alice.{kind}").symlink_to(f"checkpointd@.{kind}")
    # systemd looks for what a unit requires only where it finds units.
    sockets = [] if "worker" in name else [name.replace("service", "socket")]
    units = [name, *sockets, "checkpointd.slice"]
    done = subprocess.run(
        ["systemd-analyze", "verify", "--recursive-errors=yes", *(tmp_path / u for u in units)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "SYSTEMD_UNIT_PATH": f"{tmp_path}:"},
    )
    assert (done.returncode, done.stderr) == (0, "")


@needs_systemd
@pytest.mark.parametrize("unit", [UNIT, TEMPLATE], ids=["host", "template"])
def test_the_unit_stays_as_hardened_as_it_was(unit: Path) -> None:
    """Systemd's own exposure level must not rise above what was reached."""
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=yes", f"--threshold={EXPOSURE}", unit],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_the_template_is_the_service_but_for_user_and_directories() -> None:
    """What hardens one hardens the other; the training job's shared memory is left alone."""
    changed = {
        "Description": "Verifies TensorFlow checkpoints of %i as they are saved",
        "Requires": "checkpointd@%i.socket",
        "User": "%i",
        "UMask": "0077",
        "ConfigurationDirectory": "checkpointd-%i",
        "StateDirectory": "checkpointd-%i",
        "StateDirectoryMode": "0700",
        "RuntimeDirectory": "checkpointd-%i",
    }
    expected = []
    for key, value in directives():
        if key in ("Group", "RemoveIPC"):
            continue
        given = changed.get(key, value).replace("/etc/checkpointd/", "/etc/checkpointd-%i/")
        if value == "checkpointd.socket":
            given = "checkpointd@%i.socket"
        expected.append((key, given))
    assert directives(TEMPLATE) == expected


def test_a_worker_is_hardened_as_the_daemon_but_for_the_network() -> None:
    """It is started again whatever ends it, and the cluster connects to it."""
    other = {
        "Description": "Verifies TensorFlow checkpoints for daemons of a fleet",
        "After": "local-fs.target remote-fs.target network-online.target",
        "Restart": "always",
        "RestrictAddressFamilies": "AF_UNIX AF_INET AF_INET6",
    }
    left_out = (
        *("Requires", "StartLimitIntervalSec", "StartLimitBurst", "ExecReload"),
        *("RuntimeDirectory", "IPAddressDeny"),
    )
    expected = [("Wants", "network-online.target")]
    for key, value in directives():
        if key in left_out or value == "checkpointd.socket":
            continue
        given = "worker".join(value.rsplit("run", 1)) if key == "ExecStart" else value
        expected.append((key, other.get(key, given)))
    assert sorted(directives(WORKER)) == sorted(expected)


@needs_systemd
def test_a_worker_is_exposed_to_no_more_than_the_network() -> None:
    """What the two lines about addresses allow is all that it may do more than the daemon."""
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=yes", "--threshold=20", WORKER],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_modes_agree_wherever_they_are_declared() -> None:
    """In the unit, for systemd-tmpfiles, and in the manual."""
    unit = dict(directives())
    modes = dict(
        line.split()[1:3]
        for line in (UNITS / "checkpointd.tmpfiles").read_text(encoding="utf-8").splitlines()
        if not line.startswith("#")
    )
    assert modes == {
        "/etc/checkpointd": unit["ConfigurationDirectoryMode"],
        "/etc/checkpointd/config.toml": "0640",
        "/var/lib/checkpointd": unit["StateDirectoryMode"],
    }
    operations = manual.TEXTS[manual.DIRECTORY / "operations.md"]
    assert "`/etc/checkpointd` and `/var/lib/checkpointd` with mode 0750" in operations
    assert "`config.toml` with 0640" in operations


@needs_systemd
def test_systemd_makes_the_user_and_the_directories(tmp_path: Path) -> None:
    """`checkpointd.sysusers` and `checkpointd.tmpfiles`, under a root of their own."""
    (tmp_path / "etc").mkdir()
    for program, *options in (("systemd-sysusers",), ("systemd-tmpfiles", "--create")):
        file = UNITS / f"checkpointd.{program.removeprefix('systemd-')}"
        command = [program, f"--root={tmp_path}", *options, file]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode and os.geteuid():
            pytest.skip("only root may make directories of other users")
        assert done.returncode == 0, done.stderr
    assert "\ncheckpointd:" in "\n" + (tmp_path / "etc/group").read_text(encoding="utf-8")
    assert (tmp_path / "var/lib/checkpointd").stat().st_mode & 0o777 == 0o750


@pytest.mark.parametrize(
    "name",
    ["MemoryDenyWriteExecute", "PrivateUsers", "DynamicUser", "PrivateNetwork", "ProcSubset"],
)
def test_what_would_break_the_daemon_is_absent(name: str) -> None:
    """Each of these was tried and breaks TensorFlow, pruning or the scrape; see the comments."""
    assert name not in dict(directives())
    assert re.search(rf"^# Not .*{name}", UNIT.read_text(encoding="utf-8"), re.MULTILINE)


def test_the_daemon_is_supervised_and_a_wrong_config_is_not_retried() -> None:
    """Systemd hears of READY and WATCHDOG, and exit 78 waits for a person."""
    unit = dict(directives())
    assert unit["Type"] == "notify"
    assert int(unit["WatchdogSec"]) > 0
    assert unit["Restart"] == "on-failure"
    assert unit["RestartPreventExitStatus"] == "78"


def test_a_reload_waits_for_its_outcome() -> None:
    """`systemctl reload` runs our own client, which knows whether the config was taken."""
    unit = dict(directives())
    assert unit["ExecReload"].endswith(" reload")
    assert unit["ExecReload"].split()[:3] == unit["ExecStart"].split()[:3]


def test_only_a_drop_in_makes_a_checkpoint_directory_writable() -> None:
    """The unit itself can write nothing but its own state; the example shows how to allow more."""
    assert "ReadWritePaths" not in dict(directives())
    example = configparser.ConfigParser(strict=False)
    example.optionxform = str  # type: ignore[assignment,method-assign] # keep the case
    example.read(UNITS / "checkpointd.service.d" / "directories.conf", encoding="utf-8")
    assert example["Service"]["ReadWritePaths"].startswith("-/")
