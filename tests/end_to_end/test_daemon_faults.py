"""What goes wrong around a daemon: full disks, killed workers, hooks that fail."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from tests.helpers.daemon import CONFIG, SCANNING, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.helpers.daemon import Daemon

pytestmark = [pytest.mark.slow(30), pytest.mark.timeout(600)]


@pytest.fixture
def small_state(daemon: Daemon) -> Iterator[Path]:
    """The daemon's state directory on a file system of its own, of 4 MiB."""
    state = daemon.home / "state"
    state.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m,mode=0700", "tmpfs", str(state)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("only root can mount: the full disk is NOT tried here")
    yield state
    if daemon.process is not None:
        daemon.stop(signal.SIGKILL)
    subprocess.run(["umount", "-l", str(state)], check=True)


def test_a_full_state_disk_is_reported_and_nothing_is_lost(
    daemon: Daemon, made: Path, small_state: Path
) -> None:
    """While the ledger cannot be written the daemon goes on; with room again the verdict comes."""
    daemon.config.write_text(SCANNING)
    daemon.start()
    first = daemon.runs / "first.keras"
    shutil.copy(made / "plain.keras", first)
    before = daemon.verdict(first)
    filler = small_state / "filler"
    with filler.open("wb", buffering=0) as file:
        for block in (65536, 4096, 1):
            try:
                while file.write(b"\0" * block) == block:
                    pass
            except OSError:
                continue
    second = daemon.runs / "second.keras"
    shutil.copy(made / "plain.keras", second)
    eventually("the trouble to be reported", lambda: "ledger cannot be written" in daemon.log)
    assert daemon.status()["healthy"]
    filler.unlink()
    assert daemon.verdict(second)["verdict"] == "valid"
    assert daemon.verdict(first)["verified_at"] == before["verified_at"]
    assert "Traceback" not in daemon.log


def test_killed_workers_cost_no_verdict(daemon: Daemon, made: Path) -> None:
    """The zygotes are killed again and again; every checkpoint gets its verdict all the same."""
    daemon.start()
    assert daemon.process is not None
    process = psutil.Process(daemon.process.pid)
    for turn in range(3):
        path = daemon.runs / f"turn-{turn}.keras"
        shutil.copy(made / "plain.keras", path)
        assert daemon.verdict(path)["verdict"] == "valid"
        for child in process.children(recursive=True):
            child.kill()
    assert "Traceback" not in daemon.log


def test_hooks_are_run_until_they_succeed_whatever_happens_to_the_daemon(
    daemon: Daemon, made: Path
) -> None:
    """What a hook fails with is counted, named and tried again, after `kill -9` too."""
    received, hook = daemon.home / "received", daemon.home / "hook.sh"
    received.mkdir()
    hook.write_text(
        f"#!/bin/sh\n[ -e {daemon.home}/works ] || {{ echo no route >&2; exit 3; }}\n"
        f'cat > "{received}/$CHECKPOINTD_HOOK_ID.$CHECKPOINTD_EVENT"\n'
    )
    hook.chmod(0o755)
    hooks = f'on_verdict = ["{hook}"]\non_valid = ["{hook}"]\n'
    quick = 'skip = ["load", "signatures", "inference", "predictions", "resume", "evaluate"]'
    daemon.config.write_text(f"{CONFIG}\n[watch.verify]\n{quick}\n[watch.hooks]\n{hooks}")
    daemon.start()
    path = daemon.runs / "plain.keras"
    shutil.copy(made / "plain.keras", path)
    eventually("the problem", lambda: any("the hook" in p for p in daemon.status()["problems"]))
    metrics = daemon.text("/metrics")
    ran = 'checkpointd_hook_runs_total{event="on_verdict",outcome="failed",watch="runs"} 1.0'
    assert ran in metrics
    assert 'checkpointd_hooks_pending{watch="runs"} 2.0' in metrics
    assert daemon.status()["healthy"]
    assert "hook failed" in daemon.log
    assert "no route" in daemon.cli("hooks", "list", "--failed").stdout
    daemon.stop(signal.SIGKILL)
    (daemon.home / "works").touch()
    daemon.start()
    assert daemon.cli("hooks", "retry").returncode == 0
    eventually("both events", lambda: len(list(received.iterdir())) == 2)
    for file in received.iterdir():
        assert json.loads(file.read_text())["verdict"] == "valid"
    eventually("an empty queue", lambda: daemon.status()["hooks"][0]["pending"] == 0)
    assert daemon.cli("hooks", "list").stdout == "Nothing waits for a hook.\n"
    assert not any("the hook" in problem for problem in daemon.status()["problems"])


def test_a_changed_setting_has_the_inconclusive_verified_again(
    daemon: Daemon, tmp_path: Path
) -> None:
    """A forgotten custom layer: named in the verdict, added to the config, then valid."""
    source = daemon.home / "src"
    source.mkdir()
    (source / "mylayers.py").write_text(
        "import keras\n\nclass Twice(keras.layers.Layer):\n"
        "    def call(self, x):\n        return x * 2\n"
    )
    script = (
        "import sys; sys.path.insert(0, sys.argv[2]); import keras, mylayers; "
        "keras.Sequential([keras.layers.Input((4,)), mylayers.Twice(), keras.layers.Dense(2)])"
        ".save(sys.argv[1])"
    )
    daemon.start()
    path = daemon.runs / "custom.keras"
    subprocess.run(
        [sys.executable, "-c", script, str(path), str(source)], check=True, capture_output=True
    )
    entry = daemon.verdict(path)
    assert (entry["verdict"], entry["reason"]) == ("inconclusive", "load.unknown_object")
    assert "Twice" in entry["message"]
    daemon.config.write_text(
        CONFIG + '\n[watch.verify]\ncustom_objects = { Twice = "mylayers:Twice" }\n'
        f'python_path = ["{source}"]\n'
    )
    assert daemon.cli("reload").returncode == 0
    eventually("it to be valid", lambda: daemon.entry(path).get("verdict") == "valid")


def test_the_config_that_is_shipped_runs_as_it_is(
    daemon: Daemon, made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """config.toml of the repository, copied: ./checkpoints is waited for and then verified."""
    text = (Path(__file__).parents[2] / "config.toml").read_text()
    daemon.config.write_text(text.replace("127.0.0.1:9746", "127.0.0.1:0"))
    monkeypatch.setenv("STATE_DIRECTORY", str(daemon.home / "state"))
    daemon.start()
    checkpoints = daemon.home / "checkpoints"
    checkpoints.mkdir()
    shutil.copy(made / "plain.keras", checkpoints / "plain.keras")
    assert daemon.verdict(checkpoints / "plain.keras")["verdict"] == "valid"
