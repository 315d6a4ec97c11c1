"""Jobs with several optimizers, models or copies of one: each optimizer comes back to its own."""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

import pytest

from checkpointd.core.check_result import Outcome
from tests.helpers.load import verify

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

_SOURCE = """
from tests.helpers import models

keras = models.library("{library}")
make = {optimizer}


def net(outputs, inputs):
    return keras.Sequential([keras.layers.Input((inputs,)), keras.layers.Dense(outputs)])


def two_networks():  # the optimizers in another order than the networks
    return {{"generator": net(2, 3), "discriminator": net(5, 4), "opt_d": make(), "opt_g": make()}}


def twin_critics():  # of one shape
    return {{"actor": net(2, 3), "critic_1": net(1, 5), "critic_2": net(1, 5),
             "opt_actor": make(), "opt_critic_1": make(), "opt_critic_2": make()}}


def one_over_both():
    return {{"encoder": net(2, 3), "decoder": net(3, 2), "optimizer": make()}}


def moving_average():  # the copy first
    return {{"average": net(2, 3), "online": net(2, 3), "optimizer": make()}}


class Gan(keras.Model):
    def __init__(self):
        super().__init__()
        self.generator, self.discriminator = net(2, 3), net(1, 2)
        self.g_optimizer, self.d_optimizer = make(), make()

    def call(self, inputs):
        return self.discriminator(self.generator(inputs))


def gan():
    model = Gan()
    model.build((None, 3))
    return model
"""
_TRAINED = {
    "two_networks": {"opt_g": ("generator",), "opt_d": ("discriminator",)},
    "twin_critics": {
        "opt_actor": ("actor",),
        "opt_critic_1": ("critic_1",),
        "opt_critic_2": ("critic_2",),
    },
    "one_over_both": {"optimizer": ("encoder", "decoder")},
    "moving_average": {"optimizer": ("online",)},
}
_KINDS = {
    "keras": "keras.optimizers.Adam",
    "tf_keras": "keras.optimizers.Adam",
    "tf_keras legacy": "keras.optimizers.legacy.Adam",
}


@pytest.fixture(params=list(_KINDS))
def code(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    """The job's own module, with each Keras and each kind of optimizer in turn."""
    name = f"several_{request.param.replace(' ', '_')}"
    library = request.param.partition(" ")[0]
    source = _SOURCE.format(library=library, optimizer=_KINDS[request.param])
    (tmp_path / f"{name}.py").write_text(source)
    sys.path.insert(0, str(tmp_path))
    yield importlib.import_module(name)
    sys.path.remove(str(tmp_path))
    del sys.modules[name]


def step(optimizer: Any, variables: list[Any], size: float) -> None:
    """Make two training steps, with gradients that are no others'."""
    import tensorflow as tf

    for number in (1.0, 2.0):
        gradients = [tf.fill(v.shape, size * number + i) for i, v in enumerate(variables)]
        optimizer.apply_gradients(zip(gradients, variables, strict=True))


@pytest.mark.parametrize("builder", list(_TRAINED))
def test_each_optimizer_comes_back_to_the_networks_that_it_trains(
    code: Any, builder: str, tmp_path: Path
) -> None:
    """Whatever their order, their shapes and their number, and no weight changes by it."""
    import tensorflow as tf

    parts = getattr(code, builder)()
    for size, (optimizer, names) in enumerate(_TRAINED[builder].items(), start=1):
        variables = [v for name in names for v in parts[name].trainable_variables]
        step(parts[optimizer], variables, float(size))
    path = tf.train.Checkpoint(**parts).write(str(tmp_path / "ckpt-1"))
    results, _ = verify(path, builder=f"{code.__name__}:{builder}")
    assert results["load"].outcome is Outcome.PASS, results["load"].message
    assert results["load"].details["loader"] == "tf_train"
    assert results["resume"].reason == "", results["resume"].message
    assert "back whole" in results["resume"].message
    assert results["resume"].details["optimizer_step"] == 2


def test_an_optimizer_that_is_not_the_jobs_is_still_reported(code: Any, tmp_path: Path) -> None:
    """Moments that nothing takes up are lost, however many optimizers there are."""
    import tensorflow as tf

    parts = code.two_networks()
    if "legacy" in type(parts["opt_d"]).__module__:
        pytest.skip("an old optimizer of Keras 2 takes up whatever slots a checkpoint holds")
    step(parts["opt_g"], parts["generator"].trainable_variables, 1.0)
    step(parts["opt_d"], parts["discriminator"].trainable_variables, 2.0)
    path = tf.train.Checkpoint(**parts).write(str(tmp_path / "ckpt-1"))
    code.wrong = lambda: {**code.two_networks(), "opt_d": code.keras.optimizers.SGD()}
    results, _ = verify(path, builder=f"{code.__name__}:wrong")
    assert results["load"].outcome is Outcome.PASS, results["load"].message
    assert results["resume"].reason == "resume.optimizer_changed", results["resume"].message


def test_the_optimizers_of_a_class_come_back_from_hdf5(code: Any, tmp_path: Path) -> None:
    """A GAN in one class: Keras restores each optimizer once it has its own variables."""
    if code.keras.__name__ != "keras":
        pytest.skip("the weights of Keras 2 in HDF5 hold no optimizer")
    model = code.gan()
    step(model.g_optimizer, model.generator.trainable_variables, 1.0)
    step(model.d_optimizer, model.discriminator.trainable_variables, 2.0)
    path = str(tmp_path / "m.weights.h5")
    model.save_weights(path)
    results, _ = verify(path, builder=f"{code.__name__}:gan")
    assert results["resume"].reason == "", results["resume"].message
    assert "Adam, Adam come back whole" in results["resume"].message
