"""What a model computes with and is not in the file: found by loading it once more."""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from checkpointd.core.check_result import Outcome
from checkpointd.training import save
from tests.helpers.load import verify

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import ModuleType

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file:UserWarning"),
]

_SOURCE = """
import numpy as np
import tensorflow as tf
from tests.helpers import models

keras = models.library("{library}")
{first}

class Layer(keras.layers.Layer):
    def build(self, shape):
        self.gain = self.add_weight(shape=(4,), initializer="ones", name="gain")
        self.make()
        super().build(shape)

    def make(self):
        pass


class Drawn(Layer):  # random features that are no variable
    def make(self):
        self.features = np.random.normal(size=(5, 4)).astype("float32")

    def call(self, x):
        return tf.matmul(x, self.features) * self.gain


class Raw(Layer):  # Keras 3 does not track it, Keras 2 does
    def make(self):
        self.raw = tf.Variable(tf.random.normal([5, 4]))

    def call(self, x):
        return tf.matmul(x, self.raw) * self.gain


class Holder:
    pass


class Hidden(Layer):  # a layer within an object that is no layer
    def make(self):
        self.holder = Holder()
        self.holder.dense = keras.layers.Dense(4)

    def call(self, x):
        return self.holder.dense(x) * self.gain


class Unsaved(Layer):  # a weight that its own code leaves out of the file
    def make(self):
        self.kernel = self.add_weight(
            shape=(5, 4), name="kernel", initializer=keras.initializers.RandomNormal())

    def save_own_variables(self, store):
        store["0"] = np.asarray(self.gain)

    def load_own_variables(self, store):
        self.gain.assign(store["0"])

    def call(self, x):
        return tf.matmul(x, self.kernel) * self.gain


class Window(Layer):
    def make(self):
        self.window = np.hanning(5).astype("float32")[:, None] * np.ones((1, 4), "float32")

    def call(self, x):
        return tf.matmul(x, self.window) * self.gain


class Seeded(Layer):
    def make(self):
        self.features = np.random.default_rng(3).normal(size=(5, 4)).astype("float32")

    def call(self, x):
        return tf.matmul(x, self.features) * self.gain


class Sampling(Layer):
    def call(self, x):
        return x[:, :4] + self.gain * tf.random.normal(tf.shape(x[:, :4]))


class Noise(Layer):
    def make(self):
        self.noise = keras.layers.GaussianNoise(0.5)
        self.drop = keras.layers.Dropout(0.5)

    def call(self, x, training=None):
        return self.noise(x[:, :4], training=True) * self.gain


class Ordinary(Layer):
    def make(self):
        self.norm, self.drop = keras.layers.BatchNormalization(), keras.layers.Dropout(0.5)
        self.norm.build((None, 4))

    def call(self, x, training=None):
        return self.drop(self.norm(x[:, :4], training=training), training=training) * self.gain


class Counting(Layer):  # a state that each run moves on
    def make(self):
        self.count = self.add_weight(shape=(), name="count", initializer="zeros", trainable=False)

    def call(self, x):
        self.count.assign_add(1.0)
        return x[:, :4] * self.gain * self.count


if hasattr(keras, "random"):
    class Generator(Layer):  # whose state an .h5 file does not hold
        def make(self):
            self.seeds = keras.random.SeedGenerator()

        def call(self, x):
            return x[:, :4] * self.gain + keras.random.normal((4,), seed=self.seeds)


def net(kind):
    return keras.Sequential([keras.layers.Input((5,)), globals()[kind](), keras.layers.Dense(2)])
"""
_LOST = ("Drawn", "Hidden")
_GOOD = ("Window", "Seeded", "Sampling", "Noise", "Ordinary", "Counting")


@pytest.fixture(params=["keras", "tf_keras"])
def library(request: pytest.FixtureRequest) -> str:
    """Each Keras in turn."""
    return str(request.param)


def written(directory: Path, library: str, first: str = "") -> ModuleType:
    """The job's own module."""
    name = f"lost_{library}_{abs(hash(directory))}"
    more = "".join(f"\n\ndef net_{k}():\n    return net('{k}')\n" for k in (*_LOST, *_GOOD))
    (directory / f"{name}.py").write_text(_SOURCE.format(library=library, first=first) + more)
    sys.path.insert(0, str(directory))
    module = importlib.import_module(name)
    sys.path.remove(str(directory))
    return module


@pytest.fixture
def code(library: str, tmp_path: Path) -> Iterator[ModuleType]:
    """The job's own module, with each Keras in turn."""
    module = written(tmp_path, library)
    yield module
    sys.modules.pop(module.__name__, None)


def given(code: ModuleType, kind: str) -> dict[str, Any]:
    """The settings that name a layer."""
    return {"custom_objects": {kind: f"{code.__name__}:{kind}"}}


@pytest.mark.parametrize("kind", _LOST)
def test_what_is_in_no_file_is_reported_in_every_format(
    code: ModuleType, kind: str, tmp_path: Path
) -> None:
    """Random numbers drawn at each load, layers that nothing tracks: `.keras`, `.h5`, weights."""
    model = code.net(kind)
    for name in ("m.keras", "m.h5", "m.weights.h5"):
        path = str(tmp_path / name)
        save_weights = name.startswith("m.w")
        model.save_weights(path) if save_weights else model.save(path)
        by = {"builder": f"{code.__name__}:net_{kind}"} if save_weights else given(code, kind)
        results, _ = verify(path, **by)
        assert results["load"].reason == "load.not_restored", results["load"].message
        assert results["load"].outcome is Outcome.FAIL
        if kind == "Drawn":
            assert "'features' of the layer" in results["load"].message
        assert results["inference"].outcome is Outcome.SKIP


def test_a_variable_that_keras_3_does_not_track_is_named(code: ModuleType, tmp_path: Path) -> None:
    """Keras 2 tracks it, and stores it: there nothing is lost."""
    path = str(tmp_path / "m.keras")
    code.net("Raw").save(path)
    results, _ = verify(path, **given(code, "Raw"))
    lost = code.keras.__name__ == "keras"
    assert results["load"].reason == ("load.not_restored" if lost else ""), results["load"].message
    assert ("'raw' of the layer" in results["load"].message) is lost


def test_a_weight_that_its_layer_does_not_save_is_named(tmp_path: Path) -> None:
    """It is no value of any stored tensor, and another one at each load."""
    code = written(tmp_path, "keras")
    path = str(tmp_path / "m.keras")
    code.net("Unsaved").save(path)
    results, _ = verify(path, **given(code, "Unsaved"))
    assert results["load"].reason == "load.not_restored", results["load"].message
    assert "/kernel'" in results["load"].message


@pytest.mark.parametrize("kind", [*_GOOD, "Generator"])
def test_what_is_random_or_constant_by_design_is_nothing_lost(
    code: ModuleType, kind: str, tmp_path: Path
) -> None:
    """Constants, random generators, noise that is left on, a state that runs move on."""
    if not hasattr(code, kind):
        pytest.skip("this Keras has no such thing")
    model = code.net(kind)
    for name in ("m.keras", "m.h5"):
        path = str(tmp_path / name)
        model.save(path)
        results, _ = verify(path, **given(code, kind))
        assert results["load"].outcome is Outcome.PASS, results["load"].message


def test_code_that_seeds_itself_is_not_accused(library: str, tmp_path: Path) -> None:
    """What draws from a generator that the module seeds is the same in each new process."""
    code = written(tmp_path, library, "np.random.seed(4)\n")
    path = str(tmp_path / "m.keras")
    code.net("Drawn").save(path)
    sys.modules.pop(code.__name__)
    results, _ = verify(path, **given(code, "Drawn"), python_path=(str(tmp_path),))
    sys.path.remove(str(tmp_path))
    assert results["load"].outcome is Outcome.PASS, results["load"].message


def test_with_a_record_the_originals_outputs_decide(code: ModuleType, tmp_path: Path) -> None:
    """They are better evidence than a second load."""
    path = str(tmp_path / "m.keras")
    save(code.net("Drawn"), path, golden=np.ones((4, 5), "float32"))
    results, _ = verify(path, **given(code, "Drawn"))
    assert results["load"].outcome is Outcome.PASS
    assert results["predictions"].reason == "predictions.mismatch"
