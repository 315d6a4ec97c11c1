"""User metrics, bounds and checks, as the manual shows them, through the command line."""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from typing import TYPE_CHECKING

import pytest

from tests.helpers.cli import checkpointd, train
from tests.helpers.daemon import CONFIG, daemon_in, eventually
from tests.helpers.manual import block

if TYPE_CHECKING:
    from pathlib import Path

_TRAIN = """
import sys, numpy as np, keras
directory = sys.argv[1]
keras.utils.set_random_seed(1)
rng = np.random.default_rng(1)
labels = rng.integers(0, 3, 600)
inputs = (rng.normal(size=(600, 4)) + labels[:, None] * 2).astype("float32")
np.savez(f"{directory}/src/held_out.npz", inputs=inputs[300:], labels=labels[300:])
model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(16, activation="relu"),
                          keras.layers.Dense(3, activation="softmax")])
model.compile(keras.optimizers.Adam(0.02), keras.losses.SparseCategoricalCrossentropy())
model.fit(inputs[:300], labels[:300], epochs=20, verbose=0)
model.save(f"{directory}/good_epoch_01.keras")
weights = model.get_weights()
model.set_weights([*weights[:2], np.roll(weights[2], 1, axis=1) * 3, np.roll(weights[3], 1)])
model.save(f"{directory}/sure_epoch_01.keras")
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The manual's module and config as they are, and a job that has saved two checkpoints."""
    home = tmp_path_factory.mktemp("manual")
    (home / "src").mkdir()
    (home / "runs" / "resnet").mkdir(parents=True)
    (home / "src" / "mychecks.py").write_text(block("python", "def calibrated"))
    (home / "config.toml").write_text(block("toml", "mychecks:calibrated"))
    train(_TRAIN, home)
    for name in ("good", "sure"):
        shutil.copy(home / f"{name}_epoch_01.keras", home / "runs" / "resnet")
    return home


def test_the_example_of_the_manual_does_what_it_says(home: Path) -> None:
    """A good model is valid with its accuracy; one that is sure and wrong is neither."""
    done = checkpointd("-c", "config.toml", "verify", "--json", "runs/resnet", home=home)
    assert done.returncode == 1, done.stderr
    good, sure = (json.loads(line) for line in sorted(done.stdout.splitlines()))
    assert good["verdict"] == "valid", good
    checks = {check["name"]: check for check in good["checks"]}
    assert checks["evaluate"]["details"]["metrics"]["accuracy"] > 0.8
    assert checks["calibrated"]["outcome"] == "pass"
    assert (sure["verdict"], sure["reason"]) == ("invalid", "evaluate.below_threshold"), sure
    checks = {check["name"]: check for check in sure["checks"]}
    assert checks["calibrated"]["reason"] == "calibrated.overconfident"
    printed = checkpointd("-c", "config.toml", "verify", "runs/resnet", home=home).stdout
    assert "What to do: Its metrics are outside the bounds of [watch.verify]" in printed


def test_fail_on_makes_the_users_own_warning_a_failure(home: Path) -> None:
    """Where nothing else is wrong."""
    text = re.sub(r"^bounds.*$", "", (home / "config.toml").read_text(), flags=re.MULTILINE)
    (home / "strict.toml").write_text(text)
    path = "runs/resnet/sure_epoch_01.keras"
    done = checkpointd("-c", "strict.toml", "verify", "--json", path, home=home)
    assert (done.returncode, json.loads(done.stdout)["reason"]) == (1, "calibrated.overconfident")


def test_the_daemon_compares_with_the_best_and_with_the_last_and_exports_metrics(
    home: Path, tmp_path: Path
) -> None:
    """The first is the best; the same again stands still; the next is too far below the best."""
    verify = block("toml", "mychecks:calibrated").partition("[watch.verify]")[2]
    verify = verify.replace("src", str(home / "src")).replace("min = 0.6, ", "")
    with daemon_in(tmp_path, f"{CONFIG}\n[watch.verify]\n{verify}") as daemon:
        daemon.start()
        found = []
        for epoch, name in enumerate(("good", "good", "sure"), 1):
            path = daemon.runs / f"m_epoch_{epoch:02d}.keras"
            ready = shutil.copy(home / f"{name}_epoch_01.keras", tmp_path / "ready")
            os.utime(ready, (time.time() - 100 + epoch,) * 2)
            ready.rename(path)
            found.append(daemon.verdict(path))
        assert [e["reason"] for e in found] == ["", "drift.unchanged", "evaluate.below_threshold"]
        assert "worse than the series' best" in found[2]["message"]
        assert found[0]["metrics"]["accuracy"] > 0.8

        def metric(name: str) -> float:
            line = re.search(
                rf"^checkpointd_{name}{{.*}} (.+)$", daemon.text("/metrics"), re.MULTILINE
            )
            return float(line[1]) if line else -1.0

        eventually("its accuracy", lambda: 0 <= metric("evaluation") < 0.5)
        assert metric("weight_change_ratio") > 0.1
