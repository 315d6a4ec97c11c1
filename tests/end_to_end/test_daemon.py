"""The daemon as a user runs it: real processes, real signals, real files."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from typing import TYPE_CHECKING

import psutil
import pytest

from tests.helpers.daemon import SCANNING, eventually
from tests.helpers.scene import SCAN_ONLY

if TYPE_CHECKING:
    from pathlib import Path

    from tests.helpers.daemon import Daemon

pytestmark = [pytest.mark.slow(30), pytest.mark.timeout(600)]


def test_every_format_gets_its_verdict_with_what_was_shown(daemon: Daemon, made: Path) -> None:
    """Checkpoints that are there and that come are verified, good and bad, in every format."""
    shutil.copytree(made / "export", daemon.runs / "export")
    daemon.start()
    for name in (
        "plain.keras",
        "golden.h5",
        "golden.h5.golden.npz",
        "only.weights.h5",
        "nan.keras",
    ):
        if (made / name).exists():
            shutil.copy(made / name, daemon.runs / name)
    for record in made.glob("golden*.npz"):
        shutil.copy(record, daemon.runs / record.name)
    for part in made.glob("ckpt-1.*"):
        shutil.copy(part, daemon.runs / part.name)
    whole = (made / "plain.keras").read_bytes()
    (daemon.runs / "torn.keras").write_bytes(whole[: len(whole) // 2])
    shown = {
        "export": {"intact", "loads", "runs", "predicts"},
        "plain.keras": {"intact", "loads", "runs", "resumes"},
        "golden.h5": {"intact", "loads", "runs", "predicts"},
        "only.weights.h5": {"intact"},
        "ckpt-1": {"intact"},
    }
    for name, expected in shown.items():
        entry = daemon.verdict(daemon.runs / name)
        assert (entry["verdict"], set(entry["shown"])) == ("valid", expected), entry
    entry = daemon.verdict(daemon.runs / "nan.keras")
    assert (entry["verdict"], entry["reason"]) == ("invalid", "finite.nan")
    assert "3 of" in entry["message"]
    entry = daemon.verdict(daemon.runs / "torn.keras")
    assert (entry["verdict"], entry["reason"]) == ("invalid", "structure.truncated")
    metrics = daemon.text("/metrics")
    assert re.search(r'checkpointd_validations_total\{.*verdict="valid".*\} [1-9]', metrics)
    assert re.search(r'checkpointd_check_failures_total\{.*reason="finite.nan".*\} 1', metrics)


def test_a_restart_verifies_nothing_again_that_has_not_changed(daemon: Daemon, made: Path) -> None:
    """The ledger keeps verdicts over SIGTERM and over kill -9."""
    daemon.config.write_text(SCANNING)
    path = daemon.runs / "plain.keras"
    shutil.copy(made / "plain.keras", path)
    daemon.start()
    first = daemon.verdict(path)
    for number in (signal.SIGTERM, signal.SIGKILL):
        code = daemon.stop(number)
        assert code == (0 if number == signal.SIGTERM else -signal.SIGKILL), daemon.log
        daemon.start()
        assert daemon.verdict(path)["verified_at"] == first["verified_at"]
        assert not [e for e in daemon.events() if e.get("event") == "valid"]
    shutil.copy(made / "nan.keras", path)
    eventually(
        "a new verdict on the changed file",
        lambda: (daemon.entry(path).get("verified_at") or 0) > first["verified_at"],
    )


def test_sigterm_ends_everything_cleanly(daemon: Daemon, made: Path) -> None:
    """In the middle of work, too: exit 0, no process and no scratch left behind."""
    daemon.start()
    shutil.copy(made / "plain.keras", daemon.runs / "plain.keras")
    process = psutil.Process(daemon.process.pid if daemon.process else 0)
    eventually("a worker", lambda: process.children(recursive=True))
    children = process.children(recursive=True)
    assert daemon.stop() == 0, daemon.log
    gone, alive = psutil.wait_procs(children, timeout=60)
    assert gone
    assert not alive
    assert not (daemon.home / "state" / "scratch").exists()
    assert not (daemon.home / "state" / "control.sock").exists()


def test_sighup_reloads_and_a_broken_config_changes_nothing(daemon: Daemon, made: Path) -> None:
    """A new watch is taken up; a wrong config is reported and the old one stays in use."""
    daemon.config.write_text(SCANNING)
    daemon.start()
    more = daemon.home / "more"
    more.mkdir()
    shutil.copy(made / "plain.keras", more / "plain.keras")
    daemon.config.write_text(
        f'{SCANNING}[[watch]]\nname = "more"\npath = "{more}"\nsettle = "1s"\n'
        f"verify = {{ {SCAN_ONLY} }}\n"
    )
    daemon.kill(signal.SIGHUP)
    assert daemon.verdict(more / "plain.keras")["verdict"] == "valid"
    daemon.config.write_text(SCANNING.replace("spares = 0", "concurrency = 0"))
    result = daemon.cli("reload")
    assert result.returncode != 0
    assert "concurrency" in result.stderr + result.stdout
    status = daemon.status()
    assert "concurrency" in status["config_error"]
    assert {w["name"] for w in status["watches"]} == {"runs", "more"}
    assert "checkpointd_config_last_reload_successful 0.0" in daemon.text("/metrics")


def test_a_trainer_that_saves_over_best_h5_never_sees_an_error(
    daemon: Daemon, tmp_path: Path
) -> None:
    """Do no harm: forty saves over one path while the daemon reads it, and not one fails."""
    daemon.start()
    trainer = tmp_path / "trainer.py"
    trainer.write_text(
        textwrap.dedent(
            """
            import sys, time, keras, numpy
            model = keras.Sequential([keras.layers.Input((64,)), keras.layers.Dense(512),
                                      keras.layers.Dense(512)])
            model.compile("sgd", "mse")
            for turn in range(40):
                model.save(sys.argv[1])
                time.sleep(0.02 if turn % 2 else 0.4)
            """
        )
    )
    best = daemon.runs / "best.h5"
    done = subprocess.run(
        [sys.executable, str(trainer), str(best)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    entry = daemon.verdict(best)
    assert entry["verdict"] == "valid", entry
    assert entry["size_bytes"] == best.stat().st_size
    started = [e for e in daemon.events() if e.get("event") in ("valid", "superseded")]
    assert len(started) >= 3, "the daemon hardly read while the trainer wrote"
    assert not [e for e in daemon.events() if e.get("event") == "invalid"], daemon.log


def test_what_vanishes_is_noticed_and_the_daemon_goes_on(daemon: Daemon, made: Path) -> None:
    """A file, then the whole directory, disappears; it comes back and is verified again."""
    daemon.config.write_text(SCANNING)
    daemon.start()
    path = daemon.runs / "plain.keras"
    shutil.copy(made / "plain.keras", path)
    daemon.verdict(path)
    path.unlink()
    eventually("the file to be gone", lambda: not daemon.entry(path))
    shutil.rmtree(daemon.runs)
    eventually("the watch to be down", lambda: not daemon.status()["watches"][0]["up"])
    assert 'checkpointd_watch_up{watch="runs"} 0.0' in daemon.text("/metrics")
    daemon.runs.mkdir()
    shutil.copy(made / "plain.keras", path)
    eventually("the watch to be up", lambda: daemon.status()["watches"][0]["up"])
    assert daemon.verdict(path)["verdict"] == "valid"


def test_unreadable_and_empty_files_get_an_answer(daemon: Daemon, made: Path) -> None:
    """Nothing that lies about stops the daemon: the good one after it is verified."""
    daemon.config.write_text(SCANNING)
    daemon.start()
    (daemon.runs / "empty.keras").touch()
    (daemon.runs / "noise.h5").write_bytes(os.urandom(5000))
    (daemon.runs / "notes.txt").write_text("nothing")
    (daemon.runs / "dangling.h5").symlink_to("/nowhere/at/all")
    os.mkfifo(daemon.runs / "pipe.keras")
    shutil.copy(
        made / "plain.keras", daemon.runs / b"odd\n\xff name.keras".decode(errors="surrogateescape")
    )
    shutil.copy(made / "plain.keras", daemon.runs / "plain.keras")
    assert daemon.verdict(daemon.runs / "plain.keras")["verdict"] == "valid"
    assert daemon.verdict(daemon.runs / "empty.keras")["reason"] == "structure.truncated"
    odd = [e for e in daemon.get("/api/v1/checkpoints") if "odd" in e["path"]]
    assert odd
    assert "odd" in daemon.text("/")


def test_a_second_daemon_on_the_same_state_is_refused(daemon: Daemon) -> None:
    """One sentence, exit 69, and the first one goes on."""
    daemon.start()
    second = daemon.cli("run")
    assert second.returncode == 69
    assert "Traceback" not in second.stderr
    assert daemon.status()["healthy"]


def test_a_wrong_config_names_every_error_and_exits_78(daemon: Daemon) -> None:
    """Systemd must not restart what only a person can fix."""
    daemon.config.write_text('[worker]\nconcurrency = 0\n[web]\nlistn = "x"\n')
    result = daemon.cli("run")
    assert result.returncode == 78
    assert "concurrency" in result.stderr
    assert "listn" in result.stderr
    assert "Traceback" not in result.stderr


def test_pruning_keeps_what_the_policy_says_and_can_be_undone(daemon: Daemon, made: Path) -> None:
    """Old versions go to the trash, newest stay, a pin protects, restore brings back."""
    policy = '\n[watch.retention]\nmode = "{}"\nconfirm = "never"\nkeep_last = 2\nmin_age = "1ms"\n'
    daemon.config.write_text(SCANNING + policy.format("dry-run"))
    daemon.start()
    paths = [daemon.runs / f"model_epoch_{n:02d}.keras" for n in range(1, 7)]
    for n, path in enumerate(paths):
        shutil.copy(made / "plain.keras", path)
        stamp = time.time() - 600 + n
        os.utime(path, (stamp, stamp))
    for path in paths:
        assert daemon.verdict(path)["verdict"] == "valid"
    assert daemon.cli("pin", str(paths[0])).returncode == 0
    plan = daemon.cli("prune")
    assert plan.returncode == 0, plan.stderr
    assert all(path.exists() for path in paths)
    daemon.config.write_text(SCANNING + policy.format("enforce"))
    assert daemon.cli("reload").returncode == 0
    eventually("three to be pruned", lambda: sum(p.exists() for p in paths) == 3)
    assert [p.exists() for p in paths] == [True, False, False, False, True, True]
    listed = daemon.cli("trash", "list")
    assert paths[2].name in listed.stdout
    assert daemon.cli("restore", str(paths[2])).returncode == 0
    assert paths[2].exists()
    assert daemon.cli("latest", "runs").stdout.strip() == str(paths[5])


def test_the_daemon_stays_small(daemon: Daemon, made: Path) -> None:
    """The daemon process itself stays under 80 MB, whatever its children import."""
    daemon.start()
    shutil.copy(made / "plain.keras", daemon.runs / "plain.keras")
    daemon.verdict(daemon.runs / "plain.keras")
    assert daemon.process is not None
    assert psutil.Process(daemon.process.pid).memory_info().rss < 80 * 1024 * 1024
