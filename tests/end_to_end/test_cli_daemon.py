"""The commands that talk to a running daemon."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest

from tests.helpers.daemon import SCANNING

if TYPE_CHECKING:
    from pathlib import Path

    from tests.helpers.daemon import Daemon


pytestmark = pytest.mark.slow(20)


@pytest.fixture
def config() -> str:
    """Nothing here is about loading."""
    return SCANNING


@pytest.fixture
def running(daemon: Daemon, made: Path) -> Daemon:
    """A daemon with two valid checkpoints of one series and an invalid one of another."""
    for step in (1, 2):
        shutil.copy(made / "only.weights.h5", daemon.runs / f"m_epoch_{step}.weights.h5")
    (daemon.runs / "torn.keras").write_bytes((made / "plain.keras").read_bytes()[:5000])
    daemon.start()
    for name in ("m_epoch_1.weights.h5", "m_epoch_2.weights.h5", "torn.keras"):
        daemon.verdict(daemon.runs / name)
    return daemon


def test_status_counts_every_verdict_that_the_ledger_holds(running: Daemon) -> None:
    """At once: for people, and the whole object for programs."""
    shown = running.cli("status")
    assert shown.returncode == 0, shown.stderr
    for text in ("healthy", "watch runs", str(running.runs), "2 valid, 1 invalid", "last verdicts"):
        assert text in shown.stdout
    status = json.loads(running.cli("status", "--json").stdout)
    assert status["watches"][0]["name"] == "runs"
    assert status["watches"][0]["counts"] == {"invalid": 1, "valid": 2}


def test_status_shows_what_confines_a_model(running: Daemon) -> None:
    """Which layers are in force, and that the self-test was passed: for people, and in a scrape."""
    facts = json.loads(running.cli("status", "--json").stdout)["sandbox"]
    assert facts == {
        "mode": "enforce",
        "landlock": facts["landlock"],
        "seccomp": True,
        "self_test": "passed",
        "missing": [],
    }
    line = f"enforce: Landlock version {facts['landlock']}, seccomp, self-test passed"
    assert line in running.cli("status").stdout
    for layer in ("landlock", "seccomp"):
        assert f'checkpointd_sandbox_in_force{{layer="{layer}"}} 1.0' in running.text("/metrics")


def test_reload_prints_the_outcome(running: Daemon) -> None:
    """78 for a config that is wrong, and the old one goes on."""
    done = running.cli("reload")
    assert (done.returncode, done.stderr) == (0, "")
    running.config.write_text(running.config.read_text() + "setle = 3\n")
    done = running.cli("reload")
    assert done.returncode == 78
    assert "setle: there is no such key; did you mean 'settle'?" in done.stderr
    assert "keeps its old config" in done.stderr
    assert "the last reload failed" in running.cli("status").stdout


def test_a_rule_that_keeps_the_worst_is_a_warning(running: Daemon) -> None:
    """By the metric's name; `config check`, the log and `status` have it, and it works."""
    best = 'keep_best = { n = 1, metric = "val_loss", mode = "max" }'
    running.config.write_text(f"{running.config.read_text()}[watch.retention]\n{best}\n")
    warning = "by its name the smallest is the best"
    checked = running.cli("config", "check")
    assert checked.returncode == 0
    assert warning in checked.stdout
    assert running.cli("reload").returncode == 0
    assert warning in running.cli("status").stdout


def test_what_the_ledger_knows_is_read_while_the_daemon_runs(running: Daemon) -> None:
    """list, show, latest and wait ask the ledger itself."""
    newest = running.runs / "m_epoch_2.weights.h5"
    assert len(running.cli("list", "--json").stdout.splitlines()) == 3
    series = ("--series", "m_epoch_{}.weights.h5")
    assert running.cli("latest", "runs", *series).stdout == f"{newest}\n"
    assert "intact" in running.cli("show", str(newest)).stdout
    done = running.cli("wait", str(running.runs / "torn.keras"))
    assert (done.returncode, done.stdout[:7]) == (1, "INVALID")


def test_wait_blocks_until_a_new_save_has_its_verdict(running: Daemon, made: Path) -> None:
    """The verdict is about the content that was there when it was asked for."""
    path = running.runs / "new.keras"
    shutil.copy(made / "nan.keras", path)
    done = running.cli("wait", str(path), "--timeout", "50s")
    assert done.returncode == 1
    assert "finite.nan" in done.stdout


def test_verify_record_goes_through_the_daemon(running: Daemon) -> None:
    """And gives the same line as without."""
    path = running.runs / "m_epoch_1.weights.h5"
    before = running.entry(path)["verified_at"]
    done = running.cli("verify", "--record", str(path))
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"VALID         {path}  intact")
    assert running.entry(path)["verified_at"] > before


def test_verify_record_goes_on_after_a_path_that_the_daemon_does_not_know(
    running: Daemon, made: Path
) -> None:
    """Each path gets its answer; the exit code is the worst of all."""
    inside, torn = running.runs / "m_epoch_1.weights.h5", running.runs / "torn.keras"
    before = running.entry(inside)["verified_at"]
    done = running.cli("verify", "--record", str(made / "plain.keras"), str(inside))
    assert done.returncode == 4
    assert f"{made / 'plain.keras'} is not known to the daemon" in done.stderr
    assert done.stdout.startswith(f"VALID         {inside}  intact")
    assert running.entry(inside)["verified_at"] > before
    assert running.cli("verify", "--record", str(made / "plain.keras"), str(torn)).returncode == 1


def test_verify_record_takes_a_path_through_a_symlink(running: Daemon) -> None:
    """The daemon knows it by the name that it has below its watch's root."""
    link = running.home / "link"
    link.symlink_to(running.runs)
    done = running.cli("verify", "--record", str(link / "m_epoch_1.weights.h5"))
    assert done.returncode == 0, done.stderr
    assert str(running.runs / "m_epoch_1.weights.h5") in done.stdout


def test_pins_go_through_the_daemon(running: Daemon) -> None:
    """There and back."""
    path = running.runs / "m_epoch_1.weights.h5"
    assert running.cli("pin", str(path)).stdout == f"pinned  {path}\n"
    assert running.entry(path)["pinned"]
    assert running.cli("unpin", str(path)).returncode == 0
    assert not running.entry(path)["pinned"]


def test_pruning_goes_through_the_daemon_and_back(running: Daemon, made: Path) -> None:
    """What is shown is what runs, and nothing else is carried out."""
    config = running.config.read_text()
    policy = "[watch.retention]\nmode = 'enforce'\nkeep_last = {}\nmin_age = '1ms'\n"
    running.config.write_text(config + policy.format(2))
    assert "runs: enforce: would remove nothing of 3." in running.cli("config", "check").stdout
    reloaded = running.cli("reload")
    assert reloaded.returncode == 0, reloaded.stderr
    assert "reloaded; 1 watch\nruns: enforce: would remove nothing of 3." in reloaded.stdout
    newest = running.runs / "m_epoch_3.weights.h5"
    shutil.copy(made / "only.weights.h5", newest)
    running.verdict(newest)
    oldest = running.runs / "m_epoch_1.weights.h5"
    pruned = running.cli("prune")
    assert "1 to remove" in pruned.stdout, pruned.stderr
    assert oldest.exists()
    running.config.write_text(config + policy.format(8))
    shown = running.cli("prune", "runs")
    assert "differs from what runs: retention.keep_last. This is the plan of what runs" in (
        shown.stdout
    )
    assert "1 to remove" in shown.stdout
    refused = running.cli("prune", "--apply")
    assert (refused.returncode, refused.stdout) == (7, "")
    assert "Run `checkpointd reload` first." in refused.stderr
    running.config.write_text(config + "setle = 3\n")
    assert "cannot be loaded" in running.cli("prune").stdout
    assert running.cli("prune", "--apply").returncode == 7
    assert oldest.exists()
    running.config.write_text(config + policy.format(2))
    done = running.cli("prune", "--apply")
    assert "1 moved into the trash" in done.stdout, done.stderr
    assert not oldest.exists()
    assert str(oldest) in running.cli("trash", "list").stdout
    back = running.cli("restore", str(oldest))
    assert back.stdout == f"restored and pinned  {oldest}\n", back.stderr
    assert oldest.exists()
    again = running.cli("restore", str(oldest))
    assert again.returncode == 4
