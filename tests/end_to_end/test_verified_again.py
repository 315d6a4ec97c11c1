"""Verdicts that are not the last word: what changes them is noticed by the running daemon."""

from __future__ import annotations

import shutil
import sysconfig
from typing import TYPE_CHECKING, Any

import pytest

from tests.helpers.daemon import CONFIG, Daemon, eventually
from tests.helpers.interpreters import bare

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = [pytest.mark.slow(30), pytest.mark.timeout(600)]


def again(daemon: Daemon, path: Path, known: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """Wait until what is known of a checkpoint fulfils a condition."""

    def look() -> dict[str, Any]:
        entry = daemon.entry(path)
        return entry if entry.get("verdict") and known(entry) else {}

    found: dict[str, Any] = eventually(f"another verdict on {path}\n{daemon.log}", look)
    return found


def test_an_interpreter_that_comes_and_changes_brings_new_verdicts(
    daemon: Daemon, made: Path
) -> None:
    """It is made while the daemon runs, then the user's package is installed in it."""
    python = daemon.home / "job" / "bin" / "python"
    loading = "\n[watch.verify]\n" + f'python = "{python}"\nbuilder = "mylib:build"\n'
    daemon.config.write_text(CONFIG + loading)
    path = daemon.runs / "only.weights.h5"
    shutil.copy(made / "only.weights.h5", path)
    daemon.start()
    entry = daemon.verdict(path)
    assert (entry["verdict"], entry["reason"]) == ("inconclusive", "load.environment")
    assert f'correct the line python = "{python}"' in entry["message"]

    home = daemon.home / "made"
    bare(home)
    site = next((home / "lib").glob("python3*")) / "site-packages"
    (site / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    home.rename(daemon.home / "job")
    entry = again(daemon, path, lambda e: "mylib" in e["message"])
    assert (entry["verdict"], entry["reason"]) == ("inconclusive", "load.environment")

    site = next((daemon.home / "job" / "lib").glob("python3*")) / "site-packages"
    (site / "mylib.py").write_text(
        "def build():\n"
        "    import keras\n"
        "    layers = [keras.layers.Input((8,)), keras.layers.Dense(16, activation='relu')]\n"
        "    return keras.Sequential([*layers, keras.layers.Dense(2)])\n"
    )
    (site / "mylib-1.0.dist-info").mkdir()
    entry = again(daemon, path, lambda e: e["verdict"] == "valid")
    assert {"loads", "runs"} <= set(entry["shown"])
    detail = daemon.get(f"/api/v1/checkpoints/{entry['id']}")
    assert detail["environment"]["interpreter"] == str(python)
    changes = [e for e in daemon.events() if e.get("event") == "interpreter has changed"]
    assert len(changes) >= 2
    assert str(python) in changes[-1]["runtime"]


def test_changed_settings_bring_new_verdicts_on_reload_and_after_a_restart(
    daemon: Daemon, made: Path
) -> None:
    """What was invalid is verified again under settings that may see it otherwise."""
    path = daemon.runs / "nan.keras"
    good = daemon.runs / "plain.keras"
    for name in (path, good):
        shutil.copy(made / name.name, name)
    daemon.start()
    assert daemon.verdict(path)["reason"] == "finite.nan"
    before = daemon.verdict(good)["verified_at"]

    daemon.config.write_text(CONFIG + '\n[watch.verify]\nskip = ["finite", "inference"]\n')
    assert daemon.cli("reload").returncode == 0
    again(daemon, path, lambda e: e["verdict"] == "valid")
    assert daemon.verdict(good)["verified_at"] == before

    other = daemon.runs / "other.keras"
    daemon.config.write_text(CONFIG)
    assert daemon.cli("reload").returncode == 0
    shutil.copy(made / "nan.keras", other)
    assert daemon.verdict(other)["reason"] == "finite.nan"
    daemon.stop()
    daemon.config.write_text(CONFIG + '\n[watch.verify]\nskip = ["finite", "inference"]\n')
    daemon.start()
    again(daemon, other, lambda e: e["verdict"] == "valid")


def test_record_verifies_what_is_valid_once_more(daemon: Daemon, made: Path) -> None:
    """The caller gets a new report, and the daemon keeps it."""
    path = daemon.runs / "plain.keras"
    shutil.copy(made / "plain.keras", path)
    daemon.start()
    before = daemon.verdict(path)["verified_at"]
    assert daemon.cli("verify", "--record", str(path)).returncode == 0
    assert daemon.verdict(path)["verified_at"] > before
