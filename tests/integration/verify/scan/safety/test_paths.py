"""Programs whose paths are an asset's or a caller's: what is ordinary, a warning, or allowed."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from checkpointd.core.check_result import Outcome
from tests.helpers.load import load
from tests.helpers.programs import NUMBER, calls_python, saved, vocabulary
from tests.helpers.scan import scanned

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_the_ways_of_an_asset_to_what_reads_it_are_ordinary(tmp_path: Path) -> None:
    """Through functions, choices, loops and data sets, also where it is saved once more."""
    first, second = (
        tf.saved_model.Asset(str(_lines(tmp_path / name))) for name in ("first.txt", "second.txt")
    )
    inner = tf.function(tf.io.read_file)

    def branches(x: Any) -> Any:
        return {
            "a": tf.io.read_file(
                tf.cond(
                    x > 0,
                    lambda: tf.identity(first.asset_path),
                    lambda: tf.identity(second.asset_path),
                )
            ),
            "b": tf.cond(
                x > 0,
                lambda: tf.io.read_file(first.asset_path),
                lambda: inner(second.asset_path),
            ),
        }

    def loops(x: Any) -> Any:
        for _ in tf.range(3):
            x += tf.cast(tf.strings.length(tf.io.read_file(first.asset_path)), tf.float32)
        names = tf.data.Dataset.from_tensors(first.asset_path).repeat(2)
        for _ in names.flat_map(tf.data.TextLineDataset).cache().shuffle(2).batch(2).prefetch(1):
            x += 1.0
        return {"y": x}

    files = {"first": first, "second": second}
    table = vocabulary(tmp_path / "vocabulary.txt")
    looks_up = saved(tmp_path / "1", table.lookup, tf.TensorSpec([], tf.string), table=table)
    again = tmp_path / "again"
    loaded = tf.saved_model.load(str(looks_up))
    tf.saved_model.save(loaded, str(again), signatures=loaded.signatures)
    ordinary = (saved(tmp_path / "2", branches, **files), saved(tmp_path / "3", loops, **files))
    for path in (*ordinary, again):
        assert scanned(path).clean, scanned(path).checks["safety"]


def _lines(path: Path) -> Path:
    path.write_text("cat\ndog\n")
    return path


def _of_path(path: Any) -> Any:
    return {"y": tf.strings.length(tf.io.read_file(path))}


def _of_paths(paths: Any) -> Any:
    lengths = tf.map_fn(lambda p: _of_path(tf.strings.strip(p))["y"], paths, tf.int32)
    data = tf.data.Dataset.from_tensor_slices(paths).shuffle(2).batch(2).unbatch()
    for content in data.map(tf.io.read_file, num_parallel_calls=2).prefetch(1):
        lengths += tf.strings.length(content)
    for _ in tf.data.TFRecordDataset(paths):
        lengths += 1
    for i in tf.range(tf.size(paths)):
        lengths += _of_path(paths[i])["y"]
    return {"y": lengths}


def test_a_signature_that_reads_the_files_it_is_given_is_a_warning(tmp_path: Path) -> None:
    """Those that decode images by their paths: the caller chooses the file."""
    text = tf.TensorSpec([], tf.string), tf.TensorSpec([None], tf.string)
    for path in (
        saved(tmp_path / "one", _of_path, text[0]),
        saved(tmp_path / "many", _of_paths, text[1]),
    ):
        result = scanned(path).checks["safety"]
        assert (result.outcome, result.reason) == (Outcome.WARN, "safety.given_path"), result
        assert {f["word"] for f in result.details["findings"]} == {"given_path"}


class OnDevice(tf.Module):
    """A model that is trained where it runs, as TensorFlow Lite's guide has it."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = tf.Variable(tf.ones((2, 2)))

    @tf.function(input_signature=[tf.TensorSpec([None, 2], tf.float32)])
    def infer(self, x: Any) -> Any:
        """Give the product."""
        return {"y": x @ self.weight}

    @tf.function(input_signature=[tf.TensorSpec([], tf.string)])
    def save(self, checkpoint_path: Any) -> Any:
        """Write the weight."""
        tf.raw_ops.Save(
            filename=checkpoint_path, tensor_names=["w"], data=[self.weight.read_value()]
        )
        return {"path": checkpoint_path}

    @tf.function(input_signature=[tf.TensorSpec([], tf.string)])
    def restore(self, directory: Any) -> Any:
        """Read the weight."""
        path = tf.strings.join([directory, "/model.ckpt"])
        read = tf.raw_ops.Restore(file_pattern=path, tensor_name="w", dt=tf.float32)
        self.weight.assign(tf.ensure_shape(read, (2, 2)))
        return {"w": read}


def test_training_on_a_device_is_allowed_by_the_names_of_its_signatures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until then the message contains the line to write; afterwards they are not run here."""
    made, path, allowed = OnDevice(), tmp_path / "model", ("save", "restore")
    served = {n: getattr(made, n).get_concrete_function() for n in ("infer", *allowed)}
    tf.saved_model.save(made, str(path), signatures=served)
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    result = scanned(path)
    assert result.reasons == ["safety.unsafe_op"]
    assert 'allow_signatures = ["restore", "save"]' in result.checks["safety"].message
    assert scanned(path, allow_signatures=("save",)).reasons == ["safety.unsafe_op"]
    assert scanned(path, allow_signatures=allowed).clean
    requests = path / "assets.extra" / "tf_serving_warmup_requests"
    requests.parent.mkdir()
    requests.write_bytes(b"")
    result = scanned(path, allow_signatures=allowed)
    assert result.reasons == ["safety.unsafe_op"]
    assert "allow_signatures does not hold for it" in result.checks["safety"].message
    shutil.rmtree(requests.parent)
    loaded, _ = load(str(path), "savedmodel", allow_signatures=allowed)
    assert loaded["inference"].outcome is Outcome.PASS
    assert list(loaded["inference"].details["ran"]) == ["infer"]
    assert "'save' was not run" in loaded["inference"].message
    assert not list((tmp_path / "empty").iterdir())
    tf.saved_model.save(made, str(tmp_path / "other"), signatures={"infer": served["infer"]})
    assert scanned(tmp_path / "other").checks["safety"].reason == "safety.given_path"


def test_a_python_function_beside_what_is_served_is_a_warning(tmp_path: Path) -> None:
    """It runs nowhere else, and keeps nothing from being served."""
    made = tf.Module()
    made.serve = tf.function(lambda x: {"y": x + 1.0}, input_signature=[NUMBER])
    made.other = tf.function(calls_python, input_signature=[NUMBER])
    tf.saved_model.save(made, str(tmp_path / "1"), signatures=made.serve)
    result = scanned(tmp_path / "1").checks["safety"]
    assert (result.outcome, result.reason) == (Outcome.WARN, "safety.not_served")
    path = saved(tmp_path / "2", calls_python)
    assert "It needs Python: it cannot run outside" in scanned(path).checks["safety"].message
