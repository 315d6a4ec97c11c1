"""Under TensorFlow: what Keras writes on JAX and torch, whose optimizers differ in form alone."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from checkpointd.core.check_result import Outcome
from tests.helpers import models
from tests.helpers.load import verify

pytestmark = [pytest.mark.filterwarnings("ignore::DeprecationWarning")]


def rewritten(path: Path, *, module: str = "", counter: Any = None) -> str:
    """Give a `.keras` file an optimizer's module, and a step counter, of another backend."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    if module:
        config = json.loads(members["config.json"])
        config["compile_config"]["optimizer"].update(module=module, registered_name="Adam")
        members["config.json"] = json.dumps(config).encode()
    if counter is not None:
        weights = io.BytesIO(members["model.weights.h5"])
        with h5py.File(weights, "r+") as file:
            del file["optimizer/vars/0"]
            file["optimizer/vars/0"] = counter
        members["model.weights.h5"] = weights.getvalue()
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return str(path)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model after one step, as `.keras`."""
    path = tmp_path_factory.mktemp("saved") / "m.keras"
    models.sequential(models.library("keras")).save(path)
    return path


@pytest.fixture
def saved(original: Path, tmp_path: Path) -> Path:
    """A copy of it, to be rewritten."""
    return Path(shutil.copy(original, tmp_path))


@pytest.mark.parametrize("kind", [np.int32, np.uint32])
def test_a_step_counter_of_another_type_is_the_same_counter(saved: Path, kind: Any) -> None:
    """JAX counts in 32 bits."""
    results, _ = verify(rewritten(saved, counter=kind(1)))
    assert results["resume"].outcome is Outcome.PASS, results["resume"].message


def test_a_step_counter_of_another_value_is_reported(saved: Path) -> None:
    """Keras reads it into the optimizer, so what comes back is what is stored."""
    results, facts = verify(rewritten(saved, counter=np.int32(7)))
    assert results["resume"].outcome is Outcome.PASS
    assert facts.optimizer_step == 7


def test_an_optimizer_of_torch_is_keras_own_under_tensorflow(saved: Path) -> None:
    """Its module cannot be imported without torch, and it is the same optimizer."""
    module = "keras.src.backend.torch.optimizers.torch_adam"
    results, _ = verify(rewritten(saved, module=module))
    assert results["load"].outcome is Outcome.PASS, results["load"].message
    assert results["resume"].outcome is Outcome.PASS, results["resume"].message


def test_an_optimizer_that_torch_does_not_have_either_is_reported(saved: Path) -> None:
    """Only Keras's own are stood in for."""
    module = "keras.src.backend.torch.optimizers.torch_nothing"
    results, _ = verify(rewritten(saved, module=module))
    assert results["load"].reason == "load.compile_failed"
    assert results["load"].outcome is not Outcome.FAIL


_THREADS = """
import tensorflow as tf
from checkpointd.verify.load import keras_backend, runtime

for size in (None, 1 << 30, 1 << 20):  # in the zygote, then for a large and a small checkpoint
    if size is not None:
        keras_backend.fit_threads(size)
    runtime.preload()
    print(tf.config.threading.get_intra_op_parallelism_threads())
"""


def test_tensorflow_uses_the_threads_that_the_settings_give_it() -> None:
    """A large checkpoint is loaded with as many as are configured, a small one with one."""
    done = subprocess.run(
        [sys.executable, "-c", _THREADS],
        env={**os.environ, "TF_NUM_INTRAOP_THREADS": "3"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["3", "3", "1"]
