"""Signatures, stale records and models of TensorFlow alone, loaded in the test's process."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from checkpointd import golden
from checkpointd.core.check_result import Outcome
from checkpointd.core.format_specs import Format
from checkpointd.core.report import Facts
from checkpointd.training import save
from tests.helpers import models
from tests.helpers.load import load
from tests.integration.verify.load.test_load import ALL, NAMES, two_inputs

if TYPE_CHECKING:
    from pathlib import Path

# TensorFlow's and Keras's warnings about each other are not this project's.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file:UserWarning"),
]


@pytest.fixture(scope="module", params=["keras", "tf_keras"])
def keras(request: pytest.FixtureRequest) -> Any:
    """Each Keras in turn."""
    return models.library(request.param)


def test_content_decides_and_not_the_name(keras: Any, tmp_path: Path) -> None:
    """A model under a name that Keras would not take is loaded as what it is."""
    for form in ("keras", "hdf5"):
        path = save(models.functional(keras), tmp_path / NAMES[form], format=form)
        os.rename(path, tmp_path / "latest")
        results, _ = load(str(tmp_path / "latest"), form)
        assert results["load"].outcome is Outcome.PASS, results["load"].message


def test_a_stale_record_is_not_replayed(tmp_path: Path) -> None:
    """A record of another save is absent: the check explains why, and fails nothing."""
    model = models.sequential(models.library("keras"))
    path = save(model, tmp_path / "m.keras", golden=models.batch())
    models.fitted(model).save(path)
    results, _ = load(path, "keras")
    assert results["predictions"].outcome is Outcome.SKIP
    assert "belongs to another save" in results["predictions"].message
    assert results["inference"].outcome is Outcome.PASS


def test_nan_for_made_inputs_warns_and_nan_where_a_number_was_recorded_fails(
    tmp_path: Path,
) -> None:
    """Weights that have turned into NaN show as outputs; made-up inputs fail nothing."""
    keras = models.library("keras")
    model = models.functional(keras)
    model.set_weights([np.full_like(w, np.nan) for w in model.get_weights()])
    path = str(tmp_path / "m.keras")
    model.save(path)
    results, _ = load(path, "keras")
    assert results["load"].outcome is Outcome.PASS
    assert results["inference"].reason == "inference.non_finite_made_up"
    assert results["inference"].outcome is Outcome.WARN
    path = save(model, path, golden=two_inputs())
    assert load(path, "keras")[0]["inference"].outcome is Outcome.PASS
    record = golden.read(golden.path_for(path, Format.KERAS))
    for values in record.outputs.values():
        values[:] = 0.5
    golden.write(golden.path_for(path, Format.KERAS), record)
    results, _ = load(path, "keras")
    assert results["inference"].reason == "inference.non_finite_output"


def test_signatures_are_required_and_compared(tmp_path: Path) -> None:
    """A missing required signature fails; one that changed since the last valid one warns."""
    path = save(models.functional(models.library("keras")), tmp_path / "1")
    results, facts = load(path, "savedmodel", required_signatures=("classify",))
    assert results["signatures"].reason == "signatures.missing_signature"
    same, _ = load(path, "savedmodel", previous=facts)
    assert same["signatures"].outcome is Outcome.PASS
    changed = Facts(signatures={"serving_default": facts.signatures["serving_default"]})
    warned, _ = load(path, "savedmodel", previous=changed)
    assert warned["signatures"].outcome is Outcome.WARN
    assert "'serve' is new" in warned["signatures"].message


def test_a_saved_model_without_signatures_is_loaded(tmp_path: Path) -> None:
    """A `tf.Module` that TensorFlow could serve nothing of still loads."""
    import tensorflow as tf

    module = tf.Module()
    module.weight = tf.Variable(1.0)
    tf.saved_model.save(module, str(tmp_path / "1"))
    results, _ = load(str(tmp_path / "1"), "savedmodel")
    assert results["load"].outcome is Outcome.PASS
    assert results["inference"].outcome is Outcome.SKIP


def test_a_saved_model_of_tensorflow_1_runs(tmp_path: Path) -> None:
    """What a TF 1 builder wrote is loaded and its signature run."""
    import tensorflow as tf

    v1 = tf.compat.v1
    with v1.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, [None, 2], name="x")
        weight = v1.get_variable("w", [2, 1], use_resource=True)
        session.run(v1.global_variables_initializer())
        v1.saved_model.simple_save(
            session, str(tmp_path / "1"), {"x": x}, {"y": tf.matmul(x, weight)}
        )
    results, facts = load(str(tmp_path / "1"), "savedmodel")
    assert [results[n].outcome for n in ALL[:3]] == [Outcome.PASS] * 3, results
    assert facts.signatures["serving_default"]["inputs"] == [["x", "float32", [None, 2]]]


def test_a_broken_graph_is_a_load_error(tmp_path: Path) -> None:
    """What TensorFlow cannot parse is the checkpoint's own fault, in TensorFlow's own words."""
    path = save(models.functional(models.library("keras")), tmp_path / "1")
    (tmp_path / "1" / "saved_model.pb").write_bytes(b"\xff" * 100)
    results, _ = load(path, "savedmodel")
    assert results["load"].reason == "load.load_error"
