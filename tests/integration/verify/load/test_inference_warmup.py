"""TensorFlow Serving's warm-up requests as inputs, where there is no golden record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from checkpointd.core.check_result import CheckResult, Outcome
from checkpointd.verify.load.inputs import warmup
from tests.helpers.load import load
from tests.helpers.protobuf import field
from tests.helpers.warmup import framed, predict_log, proto, put

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A SavedModel that takes serialised examples, which nothing made up can be, and numbers."""
    import tensorflow as tf

    features = {"x": tf.io.FixedLenFeature([2], tf.float32)}
    text, numbers = tf.TensorSpec([None], tf.string), tf.TensorSpec([None, 2])
    module = tf.Module()
    module.read = tf.function(
        lambda text: {"x": tf.io.parse_example(text, features)["x"]}, input_signature=[text]
    )
    module.twice = tf.function(lambda x: {"y": x * 2.0}, input_signature=[numbers])
    signatures = {"serving_default": module.read, "twice": module.twice}
    tf.saved_model.save(module, str(tmp_path / "1"), signatures)
    return tmp_path / "1"


def example(*values: float) -> bytes:
    """A serialised tf.Example."""
    import tensorflow as tf

    feature = tf.train.Feature(float_list=tf.train.FloatList(value=values))
    features = tf.train.Features(feature={"x": feature})
    data: bytes = tf.train.Example(features=features).SerializeToString()
    return data


def inference(model: Path) -> CheckResult:
    """What the check came to."""
    return load(str(model), "savedmodel")[0]["inference"]


def test_each_signature_runs_on_its_requests(model: Path) -> None:
    """The named one, and `serving_default` where none is named."""
    made = inference(model).details["ran"]
    assert made == {"serving_default": "made inputs", "twice": "made inputs"}
    text = proto(np.array([example(1, 2), example(3, 4)], object))
    requests = [
        predict_log({"text": text}),
        predict_log({"text": text}, "serving_default"),
        predict_log({"x": proto(np.ones((3, 2), np.float32))}, "twice"),
    ]
    put(model, framed(requests))
    result = inference(model)
    assert result.outcome is Outcome.PASS
    assert result.details["ran"] == {
        "serving_default": "2 warm-up requests",
        "twice": "a warm-up request",
    }


def test_a_request_that_the_model_refuses_is_a_failure(model: Path) -> None:
    """TensorFlow Serving would not serve it."""
    text = proto(np.array([b"no example"], object))
    put(model, framed([predict_log({"text": text})]))
    result = inference(model)
    assert result.reason == "inference.inference_error"
    assert "'serving_default' fails on a warm-up request" in result.message


@pytest.mark.parametrize(
    ("requests", "note"),
    [
        ([({"x": [[1.0, 2.0]]}, "gone")], "name a signature that is not there: 'gone'"),
        ([({"x": [[1.0, 2.0, 3.0]]}, "twice")], "A warm-up request does not fit 'twice'."),
        ([({"x": [["a", "b"]]}, "twice")], "A warm-up request does not fit 'twice'."),
        ([({"z": [[1.0, 2.0]], "x": [[1.0, 2.0]]}, "twice")], "does not fit 'twice'"),
    ],
)
def test_a_request_that_fits_nothing_is_reported(model: Path, requests: Any, note: str) -> None:
    """The signature is run on made inputs then."""
    put(model, framed([predict_log({k: proto(v) for k, v in i.items()}, n) for i, n in requests]))
    result = inference(model)
    assert result.outcome is Outcome.PASS
    assert note in result.message
    assert result.details["ran"]["twice"] == "made inputs"


def claims(*dims: int, kind: int = 1) -> bytes:
    """A TensorProto of one value that claims a shape."""
    shape = b"".join(field(2, field(1, dim)) for dim in dims)
    return field(1, kind) + field(2, shape) + field(5, b"\0\0\x80\x3f")


@pytest.mark.parametrize(
    ("tensor", "said"),
    [
        (claims(1 << 40), "has the shape"),
        (claims(1 << 31, 1 << 31), "has the shape"),
        (claims((1 << 64) - 5), "has the shape"),
        (claims(2, 2, kind=99), "is no tensor"),
        (b"\x0a", "cut short"),
        (b"\xff" * 30, "."),
    ],
)
def test_a_hostile_request_ends_in_a_sentence(model: Path, tensor: bytes, said: str) -> None:
    """A shape that nothing holds, a type that does not exist, garbage: bounded, and reported."""
    put(model, framed([predict_log({"x": tensor}, "twice")]))
    found = warmup.read(str(model))
    assert len(found.notes) == 1
    assert said in found.notes[0]
    result = inference(model)
    assert result.outcome is Outcome.PASS
    assert "TensorFlow Serving would refuse the model" in result.message
    assert result.details["ran"]["twice"] == "made inputs"


def test_a_golden_record_comes_first(tmp_path: Path) -> None:
    """Warm-up requests are for models without one."""
    from checkpointd.training import save
    from tests.helpers import models

    path = save(models.functional(models.library("keras")), tmp_path / "1", golden=None)
    put(tmp_path / "1", framed([predict_log({}, "serve")]))
    assert "does not fit 'serve'" in load(path, "savedmodel")[0]["inference"].message
    inputs = {"left": models.batch(), "right": models.batch(1)}
    path = save(models.functional(models.library("keras")), tmp_path / "2", golden=inputs)
    put(tmp_path / "2", framed([predict_log({}, "serve")]))
    ran = load(path, "savedmodel")[0]["inference"].details["ran"]
    assert ran == {"serve": "golden inputs", "serving_default": "golden inputs"}
