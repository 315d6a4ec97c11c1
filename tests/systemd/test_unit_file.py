"""The unit that is shipped, checked by systemd's own tools."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
from pathlib import Path

import pytest

UNITS = Path(__file__).parents[2] / "systemd"
UNIT = UNITS / "checkpointd.service"
EXPOSURE = 15
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
def test_systemd_knows_every_directive_of_the_unit_and_the_drop_in(tmp_path: Path) -> None:
    """A misspelt or misplaced directive, which systemd would silently ignore, is an error."""
    text = UNIT.read_text(encoding="utf-8")
    text = re.sub(r"/opt/checkpointd/bin/checkpointd", "/bin/true", text)
    (tmp_path / UNIT.name).write_text(text, encoding="utf-8")
    shutil.copytree(UNITS / "checkpointd.service.d", tmp_path / "checkpointd.service.d")
    done = subprocess.run(
        ["systemd-analyze", "verify", "--recursive-errors=yes", tmp_path / UNIT.name],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


@needs_systemd
def test_the_unit_stays_as_hardened_as_it_was() -> None:
    """Systemd's own exposure level must not rise above what was reached."""
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=yes", f"--threshold={EXPOSURE}", UNIT],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


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
