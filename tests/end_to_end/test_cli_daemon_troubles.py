"""What the command line still does beside a daemon that runs well while something else does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.helpers.daemon import SCANNING

if TYPE_CHECKING:
    from pathlib import Path

    from tests.helpers.daemon import Daemon

FAILED = "checkpointd_config_last_reload_successful 0"


@pytest.fixture
def config() -> str:
    """Nothing here is about loading."""
    return SCANNING


def test_a_config_that_is_no_toml_any_more_reaches_the_daemon_and_stops_nobody(
    daemon: Daemon, made: Path
) -> None:
    """`reload` has the daemon refuse it, which alarms; what only looks goes on with one warning."""
    path = daemon.runs / "m_epoch_1.keras"
    path.write_bytes((made / "plain.keras").read_bytes())
    daemon.start()
    daemon.verdict(path)
    daemon.config.write_text(daemon.config.read_text() + "[[watch]\nname = = 'b'\n")
    (daemon.home / "link").symlink_to(daemon.runs)

    done = daemon.cli("reload")
    assert done.returncode == 78
    assert "is not TOML" in done.stderr
    assert "keeps its old config" in done.stderr
    assert FAILED in daemon.text("/metrics")

    done = daemon.cli("status")
    assert done.returncode == 0
    assert done.stderr.startswith("The config is broken")
    for arguments in (
        ("latest", "runs"),
        ("latest", str(daemon.home / "link")),
        ("list", "runs"),
        ("show", str(daemon.home / "link" / path.name)),
        ("wait", str(path)),
        ("pin", str(path)),
        ("unpin", str(path)),
    ):
        done = daemon.cli(*arguments)
        assert done.returncode == 0, done.stderr
        assert str(path) in done.stdout
        assert len(done.stderr.splitlines()) == 1


def test_wait_says_why_there_is_no_verdict_yet(daemon: Daemon, made: Path) -> None:
    """One that is cut short counts as being written until torn_after has passed."""
    text = daemon.config.read_text()
    daemon.config.write_text(text.replace('torn_after = "5s"', 'torn_after = "10m"'))
    path = daemon.runs / "m_epoch_1.keras"
    path.write_bytes((made / "plain.keras").read_bytes()[:5000])
    daemon.start()
    done = daemon.cli("wait", str(path), "--timeout", "3s")
    assert done.returncode == 4
    assert "has no verdict after 3 s: it counts as still being written: " in done.stderr
    assert daemon.entry(path)["message"].rstrip(".") in done.stderr
    assert "torn_after = 10m after its last change" in daemon.cli("show", str(path)).stdout
