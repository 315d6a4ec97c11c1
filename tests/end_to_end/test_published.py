"""Verdict files and `latest-valid` links of a real daemon, as a consumer without it sees them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.helpers.daemon import CONFIG, SCANNING, Daemon, eventually

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.slow(30), pytest.mark.timeout(600)]

LINK = "latest-valid"
PUBLISH = "\n[watch.publish]\nverdict_file = true\nlatest_link = true\n"


def test_consumers_read_verdicts_and_links_without_the_daemon(daemon: Daemon, made: Path) -> None:
    """They come with the verdict, follow the content, and go with it."""
    daemon.config.write_text(CONFIG + PUBLISH)
    daemon.start()
    for name in ("golden.h5", "golden.h5.golden.npz"):
        shutil.copy(made / name, daemon.runs / name)
    for part in made.glob("ckpt-1.*"):
        shutil.copy(part, daemon.runs / part.name)
    verdicts = daemon.home / "state" / "verdicts" / "runs"
    latest = daemon.home / "state" / "latest" / "runs"
    path = daemon.runs / "golden.h5"

    def verdict() -> dict[str, Any]:
        file = verdicts / "golden.h5.json"
        return json.loads(file.read_bytes()) if file.exists() else {}

    document = eventually("a verdict file", verdict)
    assert (document["verdict"], document["step"]) == ("valid", 3)
    assert {"intact", "loads", "runs", "predicts"} <= set(document["shown"])
    (member,) = document["generation"]["members"]
    status = path.stat()
    assert (member["size"], member["mtime_ns"]) == (status.st_size, status.st_mtime_ns)
    link = latest / "golden.h5" / "latest-valid.h5"
    eventually("a link", link.exists)
    assert os.readlink(link) == str(path)
    prefix = latest / "ckpt-{}"
    eventually("the state file", (prefix / "checkpoint").exists)
    script = "import sys, tensorflow as tf; print(tf.train.latest_checkpoint(sys.argv[1]))"
    found = subprocess.run(
        [sys.executable, "-c", script, str(prefix)], capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == str(daemon.runs / "ckpt-1") == os.readlink(prefix / LINK)

    os.unlink(daemon.runs / "golden.h5.golden.npz")
    weights = (made / "golden.h5").read_bytes()
    path.write_bytes(weights[: len(weights) // 2])
    eventually("the torn content's verdict", lambda: verdict().get("verdict") == "invalid")
    eventually("the link's end", lambda: not os.path.lexists(link))
    path.unlink()
    eventually("the file's end", lambda: not verdict())
    assert sorted(os.listdir(daemon.runs)) == [
        "ckpt-1.data-00000-of-00001",
        "ckpt-1.index",
    ]


def test_a_place_that_cannot_be_written_is_a_problem_until_it_can(
    daemon: Daemon, made: Path
) -> None:
    """The status says it, the daemon goes on, and the files come by themselves."""
    out = daemon.home / "out"
    out.write_bytes(b"in the way")
    daemon.config.write_text(SCANNING + f'\n[watch.publish]\nverdict_file = "{out}"\n')
    daemon.start()
    shutil.copy(made / "plain.keras", daemon.runs / "plain.keras")
    assert daemon.verdict(daemon.runs / "plain.keras")["verdict"] == "valid"
    problems = eventually("a problem", lambda: daemon.status()["problems"])
    assert f"Watch runs: {out}" in problems[0]
    assert "cannot be written: " in problems[0]
    out.unlink()
    eventually("the file", (out / "runs" / "plain.keras.json").exists)
    eventually("no problem any more", lambda: not daemon.status()["problems"])


def test_a_reload_takes_back_what_is_published_no_longer(daemon: Daemon, made: Path) -> None:
    """What is switched off leaves nothing that goes stale; a restart looks after it as well."""
    state = daemon.home / "state"
    daemon.config.write_text(SCANNING + PUBLISH + 'require = ["intact"]\n')
    shutil.copytree(made / "export", daemon.runs / "export")
    daemon.start()
    link = state / "latest" / "runs" / "export" / LINK
    file = state / "verdicts" / "runs" / "export.json"
    eventually("both", lambda: link.exists() and file.exists())
    daemon.stop()
    assert link.exists()
    daemon.config.write_text(SCANNING + "\n[watch.publish]\nverdict_file = true\n")
    daemon.start()
    assert not os.path.lexists(link)
    assert file.exists()
    daemon.config.write_text(SCANNING)
    assert daemon.cli("reload").returncode == 0
    assert not file.exists()
    assert daemon.cli("config", "check").returncode == 0
