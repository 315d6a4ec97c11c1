"""What real jobs store beside weights may be NaN or Inf by design; a weight may not."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from checkpointd.core.check_result import CheckResult, Outcome
from tests.helpers import models
from tests.helpers.scan import scanned

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file:UserWarning"),
]

INF, NAN = float("inf"), float("nan")
CAUSAL = np.triu(np.full((6, 6), -np.inf, np.float32), 1)


def finite(path: Path) -> CheckResult:
    """What the check came to."""
    result = scanned(path).checks["finite"]
    if result.details:
        assert all(t["decided_by"] for t in result.details["tensors"])
    return result


def odd(result: CheckResult) -> dict[str, str]:
    """The role of every tensor that is not finite."""
    return {tensor["name"]: tensor["role"] for tensor in result.details["tensors"]}


def model_of(keras: Any, *, mask: bool = False) -> Any:
    """A trained model; `mask` gives it a layer with a causal mask and a number of its own."""

    class Masked(keras.layers.Layer):  # type: ignore[name-defined,misc]
        """Adds a mask, and scales by a number that is trained."""

        def build(self, _: Any) -> None:
            """Make its weights."""
            values = keras.initializers.Constant(CAUSAL)
            self.allowed = self.add_weight(
                shape=(6, 6), initializer=values, trainable=False, name="allowed"
            )
            self.scale = self.add_weight(shape=(), initializer="ones", name="scale")

        def call(self, x: Any) -> Any:
            """Mask."""
            return keras.activations.softmax(x + self.allowed[0]) * self.scale

    rest = [Masked()] if mask else []
    model = keras.Sequential(
        [keras.layers.Input((6,)), keras.layers.Dense(6), keras.layers.BatchNormalization(), *rest]
    )
    model.compile(keras.optimizers.Adam(0.01), keras.losses.MeanSquaredError())
    model.fit(np.ones((4, 6), np.float32), np.ones((4, 6), np.float32), verbose=0)
    return model


def keras_file(name: str) -> Callable[[Any, Path], None]:
    """Save by Keras under a name."""
    weights = name.endswith(".weights.h5") or name == "weights"
    return lambda model, path: model.save_weights(path) if weights else model.save(path)


def checkpoint(model: Any, path: Path) -> None:
    """Save as a job does: the model, its optimizer, and what it wants to remember."""
    import tensorflow as tf

    tf.train.Checkpoint(model=model, optimizer=model.optimizer).write(str(path))


WAYS = {
    "m.keras": keras_file("m.keras"),
    "m.weights.h5": keras_file("m.weights.h5"),
    "m.h5": keras_file("m.h5"),
    "ckpt-1": checkpoint,
}


@pytest.fixture(scope="module", params=["keras", "tf_keras"])
def keras(request: pytest.FixtureRequest) -> Any:
    """Each Keras in turn."""
    return models.library(request.param)


@pytest.fixture(scope="module")
def masked(keras: Any) -> Any:
    """A model with a causal mask."""
    return model_of(keras, mask=True)


@pytest.fixture(scope="module")
def plain(keras: Any) -> Any:
    """A model of built-in layers; who changes it puts it back."""
    return model_of(keras)


def test_what_a_job_remembers_beside_a_model_only_warns(plain: Any, tmp_path: Path) -> None:
    """The best loss so far, the last metric, one value a class: none is a weight."""
    import tensorflow as tf

    model = plain
    beside = {
        "best_loss": tf.Variable(INF),
        "last_metric": tf.Variable(NAN, name="last"),
        "best_of_class": tf.Variable([NAN, 0.5, NAN]),
    }
    saved = tf.train.Checkpoint(model=model, optimizer=model.optimizer, **beside)
    saved.write(str(tmp_path / "ckpt-1"))
    result = finite(tmp_path / "ckpt-1")
    assert result.reason == "finite.nan_elsewhere"
    assert set(odd(result).values()) == {"other"}
    assert "object graph: best_loss hangs beside the model" in result.message
    tf.train.Checkpoint(model=model, best_loss=beside["best_loss"]).save(str(tmp_path / "c"))
    assert finite(tmp_path / "c-1").reason == "finite.nan_elsewhere"


@pytest.mark.parametrize("way", list(WAYS))
def test_a_causal_mask_only_warns(masked: Any, way: str, tmp_path: Path) -> None:
    """-inf where attention is forbidden and 0 elsewhere, in every format."""
    path = tmp_path / way
    if way == "m.keras" and not hasattr(masked, "export"):
        pytest.skip("tf-keras needs the class to save it")
    WAYS[way](masked, path)
    result = finite(path)
    assert result.reason == "finite.nan_elsewhere", result.message
    assert list(odd(result).values()) == ["other"]


@pytest.mark.parametrize("way", list(WAYS))
@pytest.mark.parametrize("value", [NAN, INF, -INF])
def test_every_weight_that_is_not_finite_fails(
    plain: Any, way: str, value: float, tmp_path: Path
) -> None:
    """Kernel, bias, scale, moving mean and variance: one value of each is enough."""
    model = plain
    for number, name in enumerate(w.name for w in model.weights):
        weights = model.get_weights()
        good = [w.copy() for w in weights]
        weights[number].flat[0] = value
        model.set_weights(weights)
        path = tmp_path / f"{number}-{way}"
        WAYS[way](model, path)
        model.set_weights(good)
        result = finite(path)
        assert result.outcome is Outcome.FAIL, (name, result)


def test_a_number_that_the_optimizer_trains_is_a_weight(masked: Any, tmp_path: Path) -> None:
    """The optimizer that is stored beside it proves it."""
    scale = next(w for w in masked.weights if "scale" in w.name)
    scale.assign(NAN)
    checkpoint(masked, tmp_path / "ckpt-1")
    scale.assign(1.0)
    assert finite(tmp_path / "ckpt-1").reason == "finite.nan"


def test_weights_of_a_plain_module_fail_and_its_numbers_warn(tmp_path: Path) -> None:
    """What hangs from the root of a module is a weight, unless it is a single number."""
    import tensorflow as tf

    module = tf.Module()
    module.inner = tf.Module()
    module.inner.w = tf.Variable(tf.ones([2, 2]))
    module.w = tf.Variable([1.0, NAN])
    tf.saved_model.save(module, str(tmp_path / "1"))
    assert finite(tmp_path / "1").reason == "finite.nan"
    module.w.assign([1.0, 2.0])
    module.best = tf.Variable(INF)
    tf.saved_model.save(module, str(tmp_path / "2"))
    assert finite(tmp_path / "2").reason == "finite.nan_elsewhere"
    tf.train.Checkpoint(module).write(str(tmp_path / "ckpt-1"))
    assert odd(finite(tmp_path / "ckpt-1")) == {"Variable (best)": "other"}


def test_tensorflow_1_knows_names_alone(tmp_path: Path) -> None:
    """A single number is none of the weights, everything else is one."""
    import tensorflow as tf

    v1 = tf.compat.v1
    for name, shape, reason in (("best", [], "nan_elsewhere"), ("w", [3], "inf")):
        with v1.Graph().as_default(), v1.Session() as session:
            v1.get_variable(name, initializer=tf.fill(shape, INF), use_resource=True)
            v1.get_variable("kernel", [2, 2])
            session.run(v1.global_variables_initializer())
            v1.train.Saver().save(session, str(tmp_path / name), write_meta_graph=False)
        os.remove(tmp_path / "checkpoint")
        assert finite(tmp_path / name).reason == f"finite.{reason}"
