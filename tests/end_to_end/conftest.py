"""What the end-to-end tests share: checkpoints made once by the real Keras, and a daemon."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING

import pytest

from tests.helpers.daemon import CONFIG, Daemon, daemon_in
from tests.helpers.made_once import made_once

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_MAKE = """
    import sys, numpy, keras, tensorflow as tf
    from checkpointd.training import save
    home = sys.argv[1]
    keras.utils.set_random_seed(7)
    model = keras.Sequential([keras.layers.Input((8,)), keras.layers.Dense(16, activation="relu"),
                              keras.layers.Dense(2)])
    model.compile("adam", keras.losses.MeanSquaredError())
    x = numpy.random.default_rng(7).normal(size=(64, 8)).astype("float32")
    model.fit(x, numpy.zeros((64, 2)), epochs=1, verbose=0)
    model.save(f"{home}/plain.keras")
    save(model, f"{home}/golden.h5", golden=x[:4], metrics={"val_loss": 0.25}, step=3)
    save(model, f"{home}/export", golden=x[:4])
    model.save_weights(f"{home}/only.weights.h5")
    tf.train.Checkpoint(model=model).write(f"{home}/ckpt-1")
    weights = model.get_weights()
    weights[0][0, :3] = numpy.nan
    model.set_weights(weights)
    model.save(f"{home}/nan.keras")
"""


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One checkpoint of each format, and `nan.keras`."""
    return made_once(tmp_path_factory, "made", _make)


def _make(home: Path) -> None:
    script = [sys.executable, "-c", textwrap.dedent(_MAKE), str(home)]
    subprocess.run(script, check=True, capture_output=True)


@pytest.fixture
def config() -> str:
    """The config of `daemon`; files whose tests are not about loading give SCANNING instead."""
    return CONFIG


@pytest.fixture
def daemon(tmp_path: Path, config: str) -> Iterator[Daemon]:
    """A daemon on an empty directory, not started yet."""
    with daemon_in(tmp_path, config) as made:
        yield made
