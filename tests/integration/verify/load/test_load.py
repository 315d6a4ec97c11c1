"""The load side with the real writers: every format loads, runs and predicts as it did."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from checkpointd import golden
from checkpointd.core.check_result import Outcome
from checkpointd.core.format_specs import Format
from checkpointd.training import save
from tests.helpers import models
from tests.helpers.load import load

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

# TensorFlow's and Keras's warnings about each other are not this project's.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file:UserWarning"),
]

NAMES = {
    "keras": "model.keras",
    "hdf5": "model.h5",
    "hdf5_weights": "model.weights.h5",
    "savedmodel": "1",
    "tf_checkpoint": "ckpt-1",
}
ALL = ["load", "signatures", "inference", "predictions"]


@pytest.fixture(scope="module", params=["keras", "tf_keras"])
def keras(request: pytest.FixtureRequest) -> Any:
    """Each Keras in turn."""
    return models.library(request.param)


@pytest.fixture(scope="module")
def trained(keras: Any) -> Any:
    """One trained model of each Keras, which saving leaves as it is."""
    return models.sequential(keras)


def two_inputs() -> dict[str, Any]:
    """A batch for the model with two inputs."""
    return {"right": models.batch(1), "left": models.batch()}


def builder(directory: Path, keras: Any, kind: str) -> dict[str, Any]:
    """Settings that name a builder of an untrained model, in a module of its own."""
    name = f"builds_{keras.__name__}_{kind}"
    arguments = ", trained=False" if kind == "sequential" else ""
    (directory / f"{name}.py").write_text(
        "from tests.helpers import models\n\n\ndef build():\n"
        f"    return models.{kind}(models.library({keras.__name__!r}){arguments})\n"
    )
    return {"builder": f"{name}:build", "python_path": (str(directory),)}


@pytest.mark.parametrize("form", list(NAMES))
def test_a_good_checkpoint_passes_every_check(
    keras: Any, trained: Any, form: str, tmp_path: Path
) -> None:
    """Saved by either Keras in any format, it loads, runs, and predicts what it predicted."""
    path = save(trained, tmp_path / NAMES[form], format=form, golden=models.batch())
    before = sorted(os.walk(tmp_path))
    results, facts = load(path, form, **builder(tmp_path.parent, keras, "sequential"))
    assert [(n, results[n].outcome) for n in ALL] == [(n, Outcome.PASS) for n in ALL]
    assert facts.predictions_max_abs_difference == 0
    assert facts.signatures["serving_default"]["inputs"][0][1:] == ["float32", [None, 3]]
    assert facts.environment["tensorflow"]
    assert sorted(os.walk(tmp_path)) == before
    if form in ("keras", "hdf5"):
        assert results["load"].details["loader"] == keras.__name__


@pytest.mark.parametrize("form", list(NAMES))
def test_several_inputs_and_outputs_are_fed_by_name(keras: Any, form: str, tmp_path: Path) -> None:
    """A model with two named inputs and outputs is replayed with its structure."""
    inputs = two_inputs()
    path = save(models.functional(keras), tmp_path / NAMES[form], format=form, golden=inputs)
    results, facts = load(path, form, **builder(tmp_path, keras, "functional"))
    assert [results[n].outcome for n in ALL] == [Outcome.PASS] * 4
    outputs = [o["output"] for o in results["predictions"].details["outputs"]]
    served_twice = form == "savedmodel" and keras.__name__ == "keras"
    again = ["serve: first", "serve: second"] if served_twice else []
    assert outputs == ["first", "second", *again]
    assert {name for name, *_ in facts.signatures["serving_default"]["inputs"]} == set(inputs)


@pytest.mark.parametrize("form", ["hdf5_weights", "savedmodel", "tf_checkpoint"])
def test_a_subclassed_model_is_verified(keras: Any, form: str, tmp_path: Path) -> None:
    """Architecture in code and weights apart, or exported: both come back."""
    path = save(
        models.subclassed(keras), tmp_path / NAMES[form], format=form, golden=models.batch()
    )
    results, _ = load(path, form, **builder(tmp_path, keras, "subclassed"))
    assert [results[n].outcome for n in ALL] == [Outcome.PASS] * 4


@pytest.mark.parametrize("form", ["keras", "savedmodel", "tf_checkpoint"])
def test_other_predictions_than_the_originals_are_a_mismatch(
    keras: Any, trained: Any, form: str, tmp_path: Path
) -> None:
    """However it is run (a whole model, a signature, a builder's), the difference is found."""
    path = save(trained, tmp_path / NAMES[form], format=form, golden=models.batch())
    record_path = golden.path_for(path, Format(form))
    record = golden.read(record_path)
    record.outputs["output"][1, 1] += 0.5
    golden.write(record_path, record)
    results, facts = load(path, form, **builder(tmp_path, keras, "sequential"))
    assert results["predictions"].reason == "predictions.mismatch"
    assert "output: largest absolute difference 0.5" in results["predictions"].message
    assert facts.predictions_max_abs_difference == pytest.approx(0.5, abs=1e-5)


@pytest.mark.parametrize(
    ("shift", "outcome", "reason"),
    [(5e-4, Outcome.PASS, ""), (0.5, Outcome.ERROR, "predictions.environment_differs")],
)
def test_another_environment_is_held_to_the_wider_tolerances(
    tmp_path: Path, shift: float, outcome: Outcome, reason: str
) -> None:
    """What was recorded on another device passes with a note, and is never called a mismatch."""
    path = save(
        models.sequential(models.library("keras")), tmp_path / "m.keras", golden=models.batch()
    )
    record_path = golden.path_for(path, Format.KERAS)
    record = golden.read(record_path)
    record.outputs["output"][:] += np.float32(shift)
    record.environment["device"] = "gpu"
    golden.write(record_path, record)
    results, _ = load(path, "keras")
    assert (results["predictions"].outcome, results["predictions"].reason) == (outcome, reason)
    assert "device gpu, here cpu" in results["predictions"].message


@pytest.mark.parametrize("form", ["hdf5_weights", "tf_checkpoint"])
def test_weights_without_a_builder_are_skipped(form: str, tmp_path: Path) -> None:
    """Nothing to load them into is no fault: every check reports what is missing."""
    model = models.functional(models.library("keras"))
    path = save(model, tmp_path / NAMES[form], format=form)
    results, _ = load(path, form)
    assert {r.outcome for r in results.values()} == {Outcome.SKIP}
    assert all("name a builder in [watch.verify]" in r.message for r in results.values())


@pytest.mark.parametrize("form", ["hdf5_weights", "tf_checkpoint"])
def test_weights_that_do_not_fit_the_builder_are_inconclusive(form: str, tmp_path: Path) -> None:
    """Another architecture in the builder is a matter of the config, not of the checkpoint."""
    keras = models.library("keras")
    path = save(models.functional(keras), tmp_path / NAMES[form], format=form)
    results, _ = load(path, form, **builder(tmp_path, keras, "sequential"))
    assert results["load"].reason == "load.environment"
    assert "point builder at the code" in results["load"].message
    assert results["load"].message.endswith(".")
    assert "value=" not in results["load"].message
    assert results["inference"].outcome is Outcome.SKIP


def test_checkpoints_of_a_manager_are_loaded(keras: Any, tmp_path: Path) -> None:
    """`tf.train.CheckpointManager` with a model, an optimizer and a step of any name."""
    import tensorflow as tf

    model = models.sequential(keras)
    tracked = tf.train.Checkpoint(net=model, opt=model.optimizer, epoch=tf.Variable(3))
    path = tf.train.CheckpointManager(tracked, str(tmp_path), max_to_keep=2).save()
    results, _ = load(path, "tf_checkpoint", **builder(tmp_path, keras, "sequential"))
    assert results["load"].outcome is Outcome.PASS, results["load"].message
    assert "'net'" in results["load"].message
    assert results["inference"].outcome is Outcome.PASS


def plain(keras: Any, *, trained: bool = True) -> Any:
    """A compiled model of dense layers only: an optimizer shares each of its variables."""
    keras.utils.set_random_seed(models.SEED + (1 if trained else 0))
    layers = [keras.layers.Input((3,)), keras.layers.Dense(5), keras.layers.Dense(2)]
    model = keras.Sequential(layers)
    model.compile(keras.optimizers.Adam(0.01), loss=keras.losses.MeanSquaredError())
    return models.fitted(model) if trained else model


def by_manager(model: Any, directory: Path) -> str:
    """Write with `tf.train.CheckpointManager`."""
    import tensorflow as tf

    tracked = tf.train.Checkpoint(model=model, optimizer=model.optimizer)
    return str(tf.train.CheckpointManager(tracked, str(directory), max_to_keep=2).save())


def by_write(model: Any, directory: Path) -> str:
    """Write with `tf.train.Checkpoint.write`."""
    import tensorflow as tf

    tracked = tf.train.Checkpoint(model=model, optimizer=model.optimizer)
    return str(tracked.write(str(directory / "ckpt")))


def by_save(model: Any, directory: Path) -> str:
    """Write with our own `save`."""
    return save(model, directory / "ckpt", format="tf_checkpoint", optimizer=model.optimizer)


@pytest.mark.parametrize("write", [by_manager, by_write, by_save])
def test_a_trained_model_beside_its_optimizer_is_loaded(
    keras: Any, write: Callable[[Any, Path], str], tmp_path: Path
) -> None:
    """The weights come back although they are stored under the optimizer's names."""
    model, made = plain(keras), plain(keras, trained=False)
    path = write(model, tmp_path)
    apart = save(model, tmp_path / "apart" / "m.keras", golden=models.batch())
    record = replace(
        golden.read(golden.path_for(apart, Format.KERAS)),
        binding=golden.binding_of(path, Format.TF_CHECKPOINT),
    )
    golden.write(golden.path_for(path, Format.TF_CHECKPOINT), record)
    assert not np.allclose(made(models.batch()), model(models.batch()))
    module = tmp_path / f"plain_{keras.__name__}.py"
    module.write_text(
        "from tests.helpers import models\n"
        "from tests.integration.verify.load.test_load import plain\n"
        f"\n\ndef build():\n    return plain(models.library({keras.__name__!r}), trained=False)\n"
    )
    settings = {"builder": f"{module.stem}:build", "python_path": (str(tmp_path),)}
    results, facts = load(path, "tf_checkpoint", **settings)
    assert "as 'model'" in results["load"].message
    assert [(n, results[n].outcome) for n in ALL] == [(n, Outcome.PASS) for n in ALL]
    assert facts.predictions_max_abs_difference == 0


def test_a_trained_model_does_not_fit_another_architecture(keras: Any, tmp_path: Path) -> None:
    """With the optimizer beside it too, a builder of other layers is reported in one sentence."""
    path = by_write(plain(keras), tmp_path)
    results, _ = load(path, "tf_checkpoint", **builder(tmp_path, keras, "functional"))
    assert results["load"].reason == "load.environment"
    message = results["load"].message
    assert message.endswith(".")
    assert "value=" not in message
    assert "numpy=" not in message
    assert "Showing" not in message


def test_weights_of_tf_keras_in_tensorflows_format_are_loaded(tmp_path: Path) -> None:
    """`model.save_weights(prefix)` of Keras 2, whose root is the model itself."""
    keras = models.library("tf_keras")
    models.sequential(keras).save_weights(str(tmp_path / "cp"))
    results, _ = load(
        str(tmp_path / "cp"), "tf_checkpoint", **builder(tmp_path, keras, "sequential")
    )
    assert results["load"].outcome is Outcome.PASS, results["load"].message


def test_legacy_weights_are_loaded_by_layer(tmp_path: Path) -> None:
    """`model.save_weights("w.h5")` of Keras 2 goes into a builder's model."""
    keras = models.library("tf_keras")
    models.sequential(keras).save_weights(str(tmp_path / "w.h5"))
    results, _ = load(
        str(tmp_path / "w.h5"), "hdf5_weights", **builder(tmp_path, keras, "sequential")
    )
    assert results["load"].outcome is Outcome.PASS, results["load"].message
