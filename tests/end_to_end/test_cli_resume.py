"""Reports on going on with training, through the real command line."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from tests.helpers.cli import checkpointd, train

if TYPE_CHECKING:
    from pathlib import Path

_TRAIN = """
import sys, numpy as np, keras
from checkpointd.training import save
directory = sys.argv[1]
x = np.random.default_rng(1).normal(size=(8, 4)).astype("float32")


def trained(loss):
    model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(2)])
    model.compile(keras.optimizers.Adam(0.01), loss)
    model.fit(x, x[:, :2], verbose=0)
    return model


model = trained(keras.losses.MeanSquaredError())
save(model, f"{directory}/good.keras", golden=(x, x[:, :2]))
model.export(f"{directory}/export")
model.save(f"{directory}/refuses.h5")
model.save(f"{directory}/rmsprop.keras")
trained("mse").save(f"{directory}/without.h5")
"""


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """The reports on one checkpoint of each kind, by name."""
    directory: Path = tmp_path_factory.mktemp("resume")
    train(_TRAIN, directory)
    done = checkpointd("verify", "--json", ".", home=directory)
    assert done.returncode == 0, done.stdout + done.stderr
    reports = [json.loads(line) for line in done.stdout.splitlines()]
    return {os.path.basename(report["path"]): report for report in reports}


@pytest.mark.parametrize(
    ("name", "reason", "outcome"),
    [
        ("good.keras", "", "pass"),
        ("export", "", "skip"),
        ("refuses.h5", "resume.step_failed", "warn"),
        ("rmsprop.keras", "resume.optimizer_changed", "warn"),
        ("without.h5", "resume.optimizer_missing", "warn"),
    ],
)
def test_each_way_to_lose_an_optimizer_has_its_reason(
    reports: dict[str, dict[str, Any]], name: str, reason: str, outcome: str
) -> None:
    """The checkpoint is valid all the same; only one that can be trained on shows `resumes`."""
    report = reports[name]
    result = next(check for check in report["checks"] if check["name"] == "resume")
    assert (result["outcome"], result["reason"]) == (outcome, reason)
    assert report["verdict"] == "valid"
    assert ("resumes" in report["shown"]) is (outcome == "pass")


def test_the_golden_labels_give_the_jobs_own_loss(reports: dict[str, dict[str, Any]]) -> None:
    """A step in the isolated child, with a number that a person can compare."""
    check = next(c for c in reports["good.keras"]["checks"] if c["name"] == "resume")
    assert 0 < check["details"]["loss"] < 100
    assert "on the golden batch" in check["message"]
