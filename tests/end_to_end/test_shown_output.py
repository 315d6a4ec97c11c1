"""What the README and the manual show of the program's output is what it prints."""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING

import pytest

from tests.helpers.cli import checkpointd, train
from tests.helpers.manual import blocks

if TYPE_CHECKING:
    from pathlib import Path

    from tests.helpers.daemon import Daemon

pytestmark = pytest.mark.timeout(300)

_TRAIN = """
import keras
layers = [keras.layers.Input((64,)), keras.layers.Dense(512), keras.layers.Dense(512)]
keras.Sequential(layers).save("runs/good.keras")
"""


def shown(command: str) -> list[str]:
    """The lines that a block shows below a command; the same in every page."""
    (block,) = {text for text in blocks("console") if text.startswith(f"$ checkpointd {command}\n")}
    return block.splitlines()[1:]


def shape(line: str) -> str:
    """A line without what differs from run to run: numbers, and where it ran."""
    return re.sub(r"\d+(\.\d+)?", "N", re.sub(r"/\S*/checkpointd-demo-\S+", "DIRECTORY", line))


def without_time(line: str) -> str:
    """A line without how long it took."""
    return re.sub(r"  <?[\d.]+ (s|min)$", "", line)


def test_verify_prints_what_is_shown(tmp_path: Path) -> None:
    """A truncated archive and a good one, word for word, save for the time that it took."""
    (tmp_path / "runs").mkdir()
    train(_TRAIN, tmp_path)
    whole = (tmp_path / "runs" / "good.keras").read_bytes()
    (tmp_path / "runs" / "cut.keras").write_bytes(whole[:500_000])
    done = checkpointd("verify", "runs/", home=tmp_path)
    assert done.returncode == 1, done.stderr
    printed = done.stdout.replace(str(tmp_path), "/data").splitlines()
    assert [without_time(line) for line in printed] == [
        without_time(line) for line in shown("verify runs/")
    ]


def test_the_demo_prints_what_is_shown(tmp_path: Path) -> None:
    """Every line of the README's excerpt comes, save for its numbers."""
    done = checkpointd("demo", "--exit", home=tmp_path)
    assert done.returncode == 0, done.stderr
    printed = {shape(line) for line in done.stdout.splitlines()}
    for line in shown("demo"):
        assert line == "…" or shape(line) in printed, line


def test_status_prints_what_is_shown_of_the_sandbox(daemon: Daemon, made: Path) -> None:
    """As on every kernel that has Landlock, once something was loaded."""
    path = daemon.runs / "plain.keras"
    shutil.copy(made / "plain.keras", path)
    daemon.start()
    daemon.verdict(path)
    printed = {shape(line) for line in daemon.cli("status").stdout.splitlines()}
    for line in shown("status"):
        assert line == "…" or shape(line) in printed, line


DIFF = "diff --weights epoch_01.keras epoch_02.weights.h5"
"""Shown from a run of it; what it prints is tested beside the comparison."""


def test_no_other_output_is_shown() -> None:
    """A new block of output needs a test."""
    calls = {text.splitlines()[0].removeprefix("$ checkpointd ") for text in blocks("console")}
    ours = {call for call in calls if not call.startswith("$ ")}
    assert ours == {"demo", "verify runs/", "status", DIFF}
