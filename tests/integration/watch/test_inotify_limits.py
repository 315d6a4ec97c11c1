"""The kernel's limits for real: a queue that overflows, watches that cannot be had."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.watch import hdf5_bytes

ROOT = Path(__file__).parents[3]
_QUEUE = Path("/proc/sys/fs/inotify/max_queued_events")
_MORE_THAN_EVER = 40_000

_WATCH = """
import json, sys, time
from pathlib import Path
from tests.helpers.watch import Recorder, settings
from checkpointd.watch.events import Reconciled, GenerationUpdate
from checkpointd.watch.watcher import Watcher

root, wanted = Path(sys.argv[1]), int(sys.argv[2])
recorder = Recorder()
watcher = Watcher(settings(root, settle=0.3, poll_interval=0.3), {}, recorder)
watcher.start()
recorder.until_event(Reconciled)
print("watching", flush=True)
sys.stdin.readline()
recorder.until(
    lambda events: wanted <= sum(
        isinstance(e, GenerationUpdate) and e.state == "settled" for e in events
    ),
    60,
)
told = [e.checkpoint.path for e in recorder.of(GenerationUpdate) if e.state == "settled"]
status = watcher.status()
watcher.stop()
print(json.dumps({"told": told, "overflows": status.overflows, "message": status.message,
                  "method": status.method, "up": status.up}))
"""


def watch(command: list[str], root: Path, wanted: int) -> subprocess.Popen[str]:
    """A watcher in a process of its own that has listed its root once."""
    process = subprocess.Popen(
        [*command, sys.executable, "-c", _WATCH, str(root), str(wanted)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "watching\n"
    return process


def outcome(process: subprocess.Popen[str]) -> dict[str, Any]:
    """Its last message."""
    said, _ = process.communicate("go\n", timeout=90)
    assert process.returncode == 0
    found: dict[str, Any] = json.loads(said)
    return found


def test_after_a_real_overflow_everything_is_found_once(tmp_path: Path) -> None:
    """More events than the kernel's queue holds: a full scan finds what happened."""
    limit = int(_QUEUE.read_text(encoding="ascii"))
    if limit > _MORE_THAN_EVER:
        pytest.skip(f"this machine keeps {limit} events: too many to be overflown in a test")
    files = limit // 2 + 500
    content = hdf5_bytes()
    for n in range(10):
        (tmp_path / f"{n}").mkdir()
    process = watch([], tmp_path, files + 1)
    process.send_signal(signal.SIGSTOP)
    for n in range(files):
        (tmp_path / f"{n % 10}" / f"fold_{n}.h5").write_bytes(content)
    (tmp_path / "late").mkdir()
    (tmp_path / "late" / "m.h5").write_bytes(content)
    process.send_signal(signal.SIGCONT)
    said = outcome(process)
    assert said["overflows"] >= 1
    assert str(tmp_path / "late" / "m.h5") in said["told"]
    assert len(said["told"]) == len(set(said["told"])) == files + 1


def test_directories_beyond_the_watch_limit_are_reported_and_polled(tmp_path: Path) -> None:
    """Watchdog passes over them in silence; here the message names the sysctl, none is missed."""
    limit = 'echo 20 > /proc/sys/user/max_inotify_watches && exec "$@"'
    command = ["unshare", "--user", "--map-root-user", "sh", "-c", limit, "sh"]
    if subprocess.run([*command, "true"], check=False, capture_output=True).returncode:
        pytest.skip("this machine gives no user namespace")
    for n in range(60):
        (tmp_path / f"{n}").mkdir()
    process = watch(command, tmp_path, 60)
    time.sleep(0.1)
    content = hdf5_bytes()
    for n in range(60):
        (tmp_path / f"{n}" / "m.h5").write_bytes(content)
    said = outcome(process)
    assert sorted(said["told"]) == sorted(str(tmp_path / f"{n}" / "m.h5") for n in range(60))
    assert said["method"] == "inotify"
    assert said["up"]
    assert "directories send no events" in said["message"]
    assert "fs.inotify.max_user_watches" in said["message"]
