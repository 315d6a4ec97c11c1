"""Drift on a real training run: Keras saves each epoch in every format, and then goes wrong."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from checkpointd.core.check_result import CheckResult, Outcome
from checkpointd.core.request import Previous
from checkpointd.verify.scan.scan_stage import scan
from tests.helpers.cli import train
from tests.helpers.scan import request_for

if TYPE_CHECKING:
    from pathlib import Path

    from checkpointd.core.report import Facts

_TRAIN = """
import sys, numpy as np, keras, tensorflow as tf
directory = sys.argv[1]
keras.utils.set_random_seed(3)
inputs = (np.random.rand(256, 8, 8, 1) * 255).astype("float32")  # not normalised: large statistics
labels = (inputs.mean((1, 2, 3)) > 127).astype("int32")

def build():
    layers = keras.layers
    model = keras.Sequential([
        layers.Input((8, 8, 1)),
        layers.Conv2D(8, 3, activation="relu"),
        layers.BatchNormalization(name="bn_one"),
        layers.Conv2D(8, 3, activation="relu"),
        layers.BatchNormalization(scale=False),
        layers.GlobalAveragePooling2D(),
        layers.Dropout(0.3),
        layers.Dense(16, kernel_initializer="zeros"),
        layers.LayerNormalization(),
        layers.Dense(2),
    ])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(1e-2), loss, metrics=["accuracy"])
    return model

def save(model, series, step):
    name = f"{directory}/{series}_step_{step:02d}"
    model.save(name + ".keras")
    model.save(name + ".h5")
    model.save_weights(name + ".weights.h5")
    model.export(f"{directory}/{series}_export_{step}", verbose=False)
    checkpoint = tf.train.Checkpoint(model=model, optimizer=model.optimizer)
    checkpoint.write(f"{directory}/{series}_ckpt-{step}")

model = build()
save(model, "good", 0)                                  # nothing trained yet
model.train_on_batch(inputs[:8], labels[:8])
save(model, "good", 1)                                  # one step: statistics on their way
for step in (2, 3, 4):
    if step == 4:
        model.optimizer.learning_rate = 3e-2            # a spike
    model.fit(inputs, labels, verbose=0)
    save(model, "good", step)
weights = model.get_weights()

def changed(change):
    new = [w.copy() for w in weights]
    change(new)
    model.set_weights(new)

model.set_weights(weights)
save(model, "same", 5)
changed(lambda w: w[0].__imul__(40))
save(model, "exploded", 5)
changed(lambda w: [k.__imul__(0) for k in w if k.ndim == 2 and k.shape == (16, 2)])
save(model, "dead", 5)
layers = [keras.layers.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(2)]
other = keras.Sequential(layers)
other.compile("adam", "mse")
save(other, "other", 5)
fresh = build()
save(fresh, "fresh", 1)
"""
_FORMS = {
    "keras": "{}_step_{:02d}.keras",
    "hdf5": "{}_step_{:02d}.h5",
    "hdf5_weights": "{}_step_{:02d}.weights.h5",
    "tf_checkpoint": "{}_ckpt-{}",
    "savedmodel": "{}_export_{}",
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What one training job has saved."""
    directory = tmp_path_factory.mktemp("training")
    train(_TRAIN, directory)
    return directory


def scanned(path: Path, previous: Previous | None, step: int | None) -> tuple[CheckResult, Facts]:
    """Scan a checkpoint after another one, and return the result of drift and the facts."""
    request = request_for(path)
    results: list[CheckResult] = []
    checkpoint = replace(request.checkpoint, step=step)
    _, facts, _ = scan(replace(request, checkpoint=checkpoint, previous=previous), results.append)
    assert results[-1].name == "drift"
    return results[-1], facts


@pytest.mark.parametrize("form", _FORMS)
def test_a_run_from_its_first_step_on_raises_no_alarm_and_what_went_wrong_does(
    run: Path, form: str
) -> None:
    """Random init, one step, epochs, a spike of the learning rate; then each way to go wrong."""
    previous = None
    for step in range(5):
        path = run / _FORMS[form].format("good", step)
        result, facts = scanned(path, previous, step)
        assert result.reason == "", (step, result.message)
        assert result.outcome is (Outcome.PASS if step else Outcome.SKIP)
        assert (facts.weight_change_ratio or 0) > 0 or not step
        previous = Previous(str(path), facts, step)
    for series, word in {
        "same": "unchanged",
        "exploded": "exploding",
        "dead": "dead",
        "other": "shape_changed",
    }.items():
        result, _ = scanned(run / _FORMS[form].format(series, 5), previous, 5)
        assert (result.outcome, result.reason) == (Outcome.WARN, f"drift.{word}"), result.message
    result, _ = scanned(run / _FORMS[form].format("fresh", 1), previous, 1)
    assert (result.outcome, result.reason) == (Outcome.PASS, ""), result.message
    result, _ = scanned(run / _FORMS[form].format("fresh", 1), previous, None)
    assert result.reason in ("", "drift.dead"), result.message  # its zeros may well look dead
