"""Whether training can go on from weights alone, through what the user's builder returns."""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

import pytest

from checkpointd.core.check_result import Outcome
from checkpointd.core.report import Facts
from checkpointd.core.request import Previous
from checkpointd.training import save
from tests.helpers import models
from tests.helpers.load import verify

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file:UserWarning"),
]

_SOURCE = """
import tensorflow as tf
from tests.helpers import models

keras = models.library("{library}")


def net():
    layers = [keras.layers.Input((3,)), keras.layers.Dense(5), keras.layers.Dense(2)]
    return keras.Sequential(layers)


def bare():
    return net()


def compiled():
    model = net()
    model.compile(keras.optimizers.Adam(0.5), keras.losses.MeanSquaredError())
    return model


def pair():
    return net(), keras.optimizers.Adam(0.01)


def named():
    return {{"net": net(), "opt": keras.optimizers.Adam(0.01)}}


def misnamed():
    return {{"net": net(), "optimizer": keras.optimizers.Adam(0.01)}}


def checkpoint():
    return tf.train.Checkpoint(net=net(), opt=keras.optimizers.Adam(0.01), step=tf.Variable(0))


def another():
    return net(), keras.optimizers.SGD(0.01, momentum=0.9)


def other_beta():
    return net(), keras.optimizers.Adam(0.01, beta_1=0.5)


def nonsense():
    return net(), net(), net()


def nothing_in_it():
    return {{"step": tf.Variable(1)}}
"""


@pytest.fixture(scope="module", params=["keras", "tf_keras"])
def keras(request: pytest.FixtureRequest) -> Any:
    """Each Keras in turn."""
    return models.library(request.param)


@pytest.fixture(scope="module")
def code(keras: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The job's own module, which has a builder of every kind."""
    directory = tmp_path_factory.mktemp("code")
    name = f"builders_for_resume_{keras.__name__}"
    (directory / f"{name}.py").write_text(_SOURCE.format(library=keras.__name__))
    sys.path.insert(0, str(directory))
    yield importlib.import_module(name)
    sys.path.remove(str(directory))
    del sys.modules[name]


def by(code: Any, builder: str) -> dict[str, Any]:
    """The settings that name a builder."""
    return {"builder": f"{code.__name__}:{builder}"}


def stepped(model: Any, optimizer: Any, steps: int = 3) -> None:
    """Train as a `tf.GradientTape` loop does."""
    import tensorflow as tf

    inputs = models.batch()
    for _ in range(steps):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(model(inputs, training=True) - inputs[:, :2]))
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))


@pytest.fixture(scope="module")
def loop(code: Any, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A checkpoint of a loop whose model was never compiled, under names of its own."""
    import tensorflow as tf

    model, optimizer = code.pair()
    stepped(model, optimizer)
    tracked = tf.train.Checkpoint(net=model, opt=optimizer, step=tf.Variable(3))
    directory = tmp_path_factory.mktemp("loop")
    return str(tf.train.CheckpointManager(tracked, str(directory), max_to_keep=3).save())


@pytest.mark.parametrize("builder", ["pair", "compiled", "named", "checkpoint"])
def test_the_optimizer_of_a_loop_comes_back(code: Any, loop: str, builder: str) -> None:
    """A builder returns a pair, a compiled model, a dict or a Checkpoint: every moment is found."""
    results, facts = verify(loop, **by(code, builder))
    assert results["load"].outcome is Outcome.PASS, results["load"].message
    assert results["resume"].outcome is Outcome.PASS, results["resume"].message
    assert facts.optimizer_step == 3


@pytest.mark.parametrize(
    ("builder", "sentence"),
    [
        ("bare", "the builder makes none"),
        ("misnamed", "It holds an optimizer called 'opt', which the builder does not name"),
    ],
)
def test_a_builder_without_that_optimizer_gets_a_message_how_to_return_it(
    code: Any, loop: str, builder: str, sentence: str
) -> None:
    """The checkpoint is not to blame: a sentence, and no warning."""
    results, _ = verify(loop, **by(code, builder))
    assert results["load"].outcome is Outcome.PASS, results["load"].message
    assert results["resume"].outcome is Outcome.SKIP
    assert sentence in results["resume"].message


def test_another_optimizer_than_the_jobs_is_reported(code: Any, loop: str) -> None:
    """SGD takes none of Adam's second moments."""
    results, _ = verify(loop, **by(code, "another"))
    assert results["load"].outcome is Outcome.PASS, results["load"].message
    assert results["resume"].reason == "resume.optimizer_changed"
    assert "stored variables do not come back" in results["resume"].message


@pytest.mark.parametrize("builder", ["nonsense", "nothing_in_it"])
def test_a_builder_that_returns_no_model_gets_a_message_what_to_return(
    code: Any, loop: str, builder: str
) -> None:
    """It is about the config, never about the checkpoint."""
    results, _ = verify(loop, **by(code, builder))
    assert results["load"].reason == "load.environment"
    assert results["resume"].outcome is Outcome.SKIP


def test_a_checkpoint_of_a_model_alone_fits_a_compiled_builder(code: Any, tmp_path: Path) -> None:
    """That the builder's optimizer is not in it is no error of loading."""
    import tensorflow as tf

    path = tf.train.Checkpoint(model=code.net()).write(str(tmp_path / "ckpt"))
    results, _ = verify(path, **by(code, "compiled"))
    assert results["load"].outcome is Outcome.PASS, results["load"].message
    assert results["resume"].outcome is Outcome.SKIP
    assert "saved without an optimizer" in results["resume"].message


def test_another_architecture_still_does_not_fit_a_compiled_builder(
    code: Any, keras: Any, tmp_path: Path
) -> None:
    """What is forgiven of the optimizer is not forgiven of the weights."""
    import tensorflow as tf

    model = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(7)])
    path = tf.train.Checkpoint(model=model).write(str(tmp_path / "ckpt"))
    results, _ = verify(path, **by(code, "compiled"))
    assert results["load"].reason == "load.environment"


@pytest.mark.parametrize("builder", ["compiled", "pair"])
def test_our_own_save_of_a_compiled_model_comes_back(
    code: Any, builder: str, tmp_path: Path
) -> None:
    """`save(format="tf_checkpoint")` puts the optimizer beside the model, learning rate and all.

    Only a compiled builder knows the loss that the golden labels are for.
    """
    model = models.fitted(code.compiled())
    inputs = models.batch()
    path = save(
        model,
        tmp_path / "ckpt",
        format="tf_checkpoint",
        golden=(inputs, inputs[:, :2]),
    )
    results, facts = verify(path, **by(code, builder))
    assert results["resume"].outcome is Outcome.PASS, results["resume"].message
    assert (results["resume"].details["loss"] is not None) is (builder == "compiled")
    assert facts.optimizer_step == 1


def test_a_hyperparameter_of_the_builders_that_is_not_the_jobs_is_reported(
    code: Any, tmp_path: Path
) -> None:
    """A TensorFlow checkpoint does not hold it; the golden record does."""
    model, optimizer = code.pair()
    stepped(model, optimizer)
    path = save(
        model,
        tmp_path / "ckpt",
        format="tf_checkpoint",
        golden=models.batch(),
        optimizer=optimizer,
    )
    same, _ = verify(path, **by(code, "pair"))
    assert same["resume"].outcome is Outcome.PASS, same["resume"].message
    other, _ = verify(path, **by(code, "other_beta"))
    assert other["resume"].reason == "resume.optimizer_changed"
    assert "Its beta_1 was 0.9 and is 0.5." in other["resume"].message


@pytest.mark.parametrize(
    ("builder", "outcome", "sentence"),
    [
        ("compiled", Outcome.PASS, "comes back whole"),
        ("pair", Outcome.PASS, "comes back whole"),
        ("bare", Outcome.SKIP, "the builder makes none"),
    ],
)
def test_weights_in_hdf5_bring_their_optimizer(
    code: Any, builder: str, outcome: Outcome, sentence: str, tmp_path: Path
) -> None:
    """Keras writes it into `.weights.h5`, and restores it where its variables are made first."""
    model = models.fitted(code.compiled())
    model.save_weights(tmp_path / "m.weights.h5")
    results, _ = verify(str(tmp_path / "m.weights.h5"), **by(code, builder))
    assert results["load"].outcome is Outcome.PASS, results["load"].message
    assert results["resume"].outcome is outcome, results["resume"].message
    assert sentence in results["resume"].message


def test_weights_without_an_optimizer_are_skipped(code: Any, tmp_path: Path) -> None:
    """Weights alone were never meant to bring one."""
    code.net().save_weights(str(tmp_path / "m.weights.h5"))
    results, _ = verify(str(tmp_path / "m.weights.h5"), **by(code, "compiled"))
    assert results["load"].outcome is Outcome.PASS, results["load"].message
    assert results["resume"].outcome is Outcome.SKIP
    assert "saved without an optimizer" in results["resume"].message


@pytest.mark.parametrize(
    "optimizer",
    [
        lambda o: o.legacy.Adam(0.01, decay=1e-3),
        lambda o: o.legacy.SGD(o.schedules.CosineDecay(0.1, 9), momentum=0.9),
        lambda o: o.AdamW(0.01, use_ema=True),
    ],
)
@pytest.mark.parametrize("write", ["save_weights", "Checkpoint"])
def test_checkpoints_of_keras_2_bring_their_optimizer(
    optimizer: Callable[[Any], Any], write: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In TensorFlow's format, with the slots and hyperparameters of a legacy optimizer."""
    import tensorflow as tf

    keras = models.library("tf_keras")

    def made() -> Any:
        model = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(2)])
        model.compile(optimizer(keras.optimizers), keras.losses.MeanSquaredError())
        return model

    model = models.fitted(made())
    path = str(tmp_path / "cp")
    if write == "save_weights":
        model.save_weights(path)
    else:
        tf.train.Checkpoint(model=model, optimizer=model.optimizer).write(path)
    monkeypatch.setattr(models, "made_for_resume", made, raising=False)
    results, facts = verify(path, builder="tests.helpers.models:made_for_resume")
    assert results["load"].outcome is Outcome.PASS, results["load"].message
    assert results["resume"].outcome is Outcome.PASS, results["resume"].message
    assert facts.optimizer_step == 1


def test_a_counter_that_falls_while_the_job_goes_on_is_reported(code: Any, loop: str) -> None:
    """A fresh optimizer in a job that counts on; a new run in the same directory is no alarm."""
    before = Facts(optimizer_step=2000)
    settings = by(code, "pair")
    went_on, _ = verify(loop, step=8, previous=Previous("/runs/ckpt-7", before, 7), **settings)
    assert went_on["resume"].reason == "resume.optimizer_changed"
    assert "a new optimizer was made" in went_on["resume"].message
    again, _ = verify(loop, step=1, previous=Previous("/runs/ckpt-7", before, 7), **settings)
    assert again["resume"].outcome is Outcome.PASS
    assert "another run" in again["resume"].message
