"""Predictions with real models: every structure, every signature, and models that are random."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from checkpointd import golden
from checkpointd.core.check_result import Outcome
from checkpointd.core.format_specs import Format
from checkpointd.golden.arrays import Ragged
from checkpointd.training import save
from tests.helpers import models
from tests.helpers.load import load
from tests.helpers.scan import scanned
from tests.helpers.wild import custom, keras_cases
from tests.helpers.wild.making import numbers

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

# TensorFlow's and Keras's warnings about each other are not this project's.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning:keras.*"),
]

OBJECTS = {"Rows": "tests.helpers.wild.custom_keras:Rows"}


@pytest.fixture(scope="module", params=["keras", "tf_keras"])
def keras(request: pytest.FixtureRequest) -> Any:
    """Each Keras in turn."""
    return models.library(request.param)


def altered(path: str, form: Format, change: Callable[[golden.Golden], golden.Golden]) -> None:
    """Write another golden record, bound to the same save."""
    where = golden.path_for(path, form)
    golden.write(where, change(golden.read(where)))


def rows() -> dict[str, Any]:
    """Ragged numbers and words, by name."""
    import tensorflow as tf

    return {"rows": tf.ragged.constant(custom.ROWS), "words": tf.constant(custom.WORDS)}


def test_ragged_and_string_inputs_are_replayed(tmp_path: Path) -> None:
    """As they were given, by name; and outputs that are others are found."""
    keras = models.library("keras")
    model = keras_cases.own(keras)["Rows"]()
    model(rows())
    path = save(model, tmp_path / "m.keras", golden=rows())
    results, facts = load(path, "keras", custom_objects=OBJECTS)
    assert results["inference"].details["ran"] == {"serving_default": "golden inputs"}
    assert results["predictions"].outcome is Outcome.PASS
    assert facts.predictions_max_abs_difference == 0

    def changed(record: golden.Golden) -> golden.Golden:
        words = record.inputs["words"][::-1]
        return replace(record, inputs={**record.inputs, "words": words})

    altered(path, Format.KERAS, changed)
    results, _ = load(path, "keras", custom_objects=OBJECTS)
    assert results["predictions"].reason == "predictions.mismatch"


def test_ragged_inputs_and_outputs_of_a_saved_model_are_replayed(tmp_path: Path) -> None:
    """Its signature takes them in parts, and gives a ragged output."""
    import tensorflow as tf

    class Twice(tf.Module):
        """Doubles rows."""

        def __init__(self) -> None:
            super().__init__()
            self.factor = tf.Variable(2.0)

        @tf.function(input_signature=[tf.RaggedTensorSpec([None, None, None])])
        def __call__(self, x: Any) -> Any:
            """Double, and count."""
            return {"twice": x * self.factor, "rows": x.nrows()}

    module = Twice()
    deep = tf.ragged.constant([[[1.0, 2.0], [3.0]], [], [[4.0]]])
    path = save(module, tmp_path / "1", golden=deep, signatures=module.__call__)
    record = golden.read(golden.path_for(path, Format.SAVEDMODEL))
    assert isinstance(record.outputs["twice"], Ragged)
    results, _ = load(path, "savedmodel")
    assert results["inference"].details["ran"] == {"serving_default": "golden inputs"}
    names = [output["output"] for output in results["predictions"].details["outputs"]]
    assert names == ["twice", "rows", "serving_default: twice", "serving_default: rows"]
    assert results["predictions"].outcome is Outcome.PASS

    def longer(record: golden.Golden) -> golden.Golden:
        twice = record.outputs["twice"]
        other = Ragged(twice.values, (twice.splits[0], np.array([0, 1, 3, 4])))
        return replace(record, outputs={**record.outputs, "twice": other})

    altered(path, Format.SAVEDMODEL, longer)
    assert load(path, "savedmodel")[0]["predictions"].reason == "predictions.mismatch"


def served(tmp_path: Path, inputs: Any) -> str:
    """Save a module with three signatures and record each."""
    import tensorflow as tf

    module = tf.Module()
    module.weight = tf.Variable([[1.0], [2.0]])
    spec = tf.TensorSpec([None, 2], name="x")
    functions = {
        "serving_default": lambda x: {"score": x @ module.weight},
        "label": lambda x: {"label": tf.argmax(x, 1)},
        "both": lambda x: {"a": x, "b": x @ module.weight},
    }
    signatures = {n: tf.function(f, input_signature=[spec]) for n, f in functions.items()}
    return save(module, tmp_path / "1", golden=inputs, signatures=signatures)


def test_every_signature_is_held_to_what_it_gave(tmp_path: Path) -> None:
    """A change in one of them is found, and named."""
    path = served(tmp_path, np.eye(2, dtype=np.float32))
    results, _ = load(path, "savedmodel")
    names = {output["output"] for output in results["predictions"].details["outputs"]}
    assert names == {"serving_default: score", "label: label", "both: a", "both: b"}
    assert results["predictions"].outcome is Outcome.PASS

    def another_label(record: golden.Golden) -> golden.Golden:
        record.signatures["label"].outputs["label"][0] += 1
        return record

    altered(path, Format.SAVEDMODEL, another_label)
    result = load(path, "savedmodel")[0]["predictions"]
    assert result.reason == "predictions.mismatch"
    assert "label: label: largest absolute difference 1" in result.message


def test_a_signature_can_have_golden_inputs_of_its_own(tmp_path: Path) -> None:
    """Given by the signature's name."""
    inputs = {name: np.ones((n, 2), np.float32) for n, name in enumerate(("both", "label"), 1)}
    inputs["serving_default"] = np.ones((3, 2), np.float32)
    path = served(tmp_path, inputs)
    record = golden.read(golden.path_for(path, Format.SAVEDMODEL))
    assert {name: len(run.inputs["input"]) for name, run in record.signatures.items()} == {
        "both": 1,
        "label": 2,
        "serving_default": 3,
    }
    assert load(path, "savedmodel")[0]["predictions"].outcome is Outcome.PASS


def test_a_signature_that_is_gone_is_a_mismatch(tmp_path: Path) -> None:
    """What was recorded of it has nothing to be held against."""
    path = served(tmp_path, np.eye(2, dtype=np.float32))

    def one_more(record: golden.Golden) -> golden.Golden:
        run = record.signatures["label"]
        return replace(record, signatures={**record.signatures, "embed": run})

    altered(path, Format.SAVEDMODEL, one_more)
    result = load(path, "savedmodel")[0]["predictions"]
    assert result.reason == "predictions.mismatch"
    assert "embed: It gives 0 outputs" in result.message


def test_a_signature_of_another_meaning_is_not_held_against_the_model(tmp_path: Path) -> None:
    """Keras 2 models are served by signatures that decode and choose: those are no mismatch."""
    import tensorflow as tf

    keras = models.library("tf_keras")
    model = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(2)])
    spec = tf.TensorSpec([None, 3], name="x")
    best = tf.function(lambda x: {"best": tf.reduce_max(model(x), 1)}, input_signature=[spec])
    path = save(model, tmp_path / "1", golden=models.batch(), signatures={"serving_default": best})
    results, _ = load(path, "savedmodel")
    assert results["predictions"].outcome is Outcome.PASS, results["predictions"].message
    names = [output["output"] for output in results["predictions"].details["outputs"]]
    assert names == ["output", "serving_default: best"]


def random_always(keras: Any) -> Any:
    """A model with dropout that is never off."""

    class Dropping(keras.layers.Layer):
        """Dropout from TensorFlow's own random numbers."""

        def call(self, inputs: Any) -> Any:
            """Drop."""
            import tensorflow as tf

            return tf.nn.dropout(inputs, 0.5)

    return keras.Sequential([keras.layers.Input((64,)), Dropping(), keras.layers.Dense(2)])


def test_a_model_that_is_random_is_never_a_mismatch(keras: Any, tmp_path: Path) -> None:
    """Two runs tell, at save time and when it is loaded; what is said names the reason."""
    path = save(random_always(keras), tmp_path / "1", golden=numbers(8, 64))
    record = golden.read(golden.path_for(path, Format.SAVEDMODEL))
    assert record.stochastic
    result = load(path, "savedmodel")[0]["predictions"]
    assert (result.outcome, result.reason) == (Outcome.SKIP, "")
    assert "The original gave other outputs at each run" in result.message
    altered(path, Format.SAVEDMODEL, lambda record: replace(record, stochastic=False))
    result = load(path, "savedmodel")[0]["predictions"]
    assert result.outcome is Outcome.SKIP
    assert "It gives other outputs at each run, and the original did not" in result.message


def test_a_steady_model_beside_other_golden_outputs_stays_a_mismatch(tmp_path: Path) -> None:
    """Running twice excuses no model that returns the same outputs twice."""
    model = models.sequential(models.library("keras"))
    path = save(model, tmp_path / "1", golden=models.batch())

    def shifted(record: golden.Golden) -> golden.Golden:
        assert not record.stochastic
        return replace(record, outputs={"output": record.outputs["output"] + np.float32(0.1)})

    altered(path, Format.SAVEDMODEL, shifted)
    assert load(path, "savedmodel")[0]["predictions"].reason == "predictions.mismatch"


@pytest.mark.parametrize("name", ["m.keras", "1"])
def test_taking_a_record_leaves_the_training_job_as_it_was(
    keras: Any, name: str, tmp_path: Path
) -> None:
    """Random seeds and recurrent states are where they were; what is stored was recorded."""
    layers = keras.layers
    x = layers.Input(batch_shape=(2, 4, 3))
    h = layers.Dropout(0.5)(layers.LSTM(3, stateful=True)(x), training=True)
    model = keras.Model(x, h)
    model(numbers(2, 4, 3))
    lstm = model.layers[1]
    before = [np.array(state) for state in lstm.states] + [np.array(v) for v in model.variables]
    path = save(model, tmp_path / name, golden=numbers(2, 4, 3), compiled=False)
    after = [np.array(state) for state in lstm.states] + [np.array(v) for v in model.variables]
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))
    assert scanned(path).clean


def module_of_sixteen_bits() -> Any:
    """A module that computes in bfloat16 without any policy that names it."""
    import tensorflow as tf

    class Narrow(tf.Module):
        """Multiplies in bfloat16."""

        def __init__(self) -> None:
            super().__init__()
            self.weight = tf.Variable(tf.constant([[1.0], [2.0]], tf.bfloat16))

        @tf.function(input_signature=[tf.TensorSpec([None, 2])])
        def __call__(self, x: Any) -> Any:
            """Multiply."""
            return tf.cast(x, tf.bfloat16) @ self.weight

    return Narrow()


@pytest.mark.parametrize(("factor", "outcome"), [(1.0078, Outcome.PASS), (1.1, Outcome.FAIL)])
def test_outputs_of_sixteen_bits_have_the_tolerance_of_their_type(
    tmp_path: Path, factor: float, outcome: Outcome
) -> None:
    """One unit in the last place of bfloat16 passes, ten per cent do not."""
    module = module_of_sixteen_bits()
    inputs = np.float32([[1, 2], [3, 4]])
    path = save(module, tmp_path / "1", golden=inputs, signatures=module.__call__)

    def scaled(record: golden.Golden) -> golden.Golden:
        assert record.environment["policy"] == "float32"
        outputs = {name: v * np.float32(factor) for name, v in record.outputs.items()}
        return replace(
            record, outputs=outputs, signatures={"serving_default": golden.SignatureRun({}, {})}
        )

    altered(path, Format.SAVEDMODEL, scaled)
    result = load(path, "savedmodel")[0]["predictions"]
    assert result.outcome is outcome, result.message
