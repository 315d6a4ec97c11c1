"""Graphs that TensorFlow itself writes: what is ordinary, what is found, and which ops there are.

The ops of the installed TensorFlow are held against the tables that the scan uses: whoever meets a
newer TensorFlow with an op that reaches outside learns of it here.
"""

from __future__ import annotations

import re
import shutil
import warnings
from typing import TYPE_CHECKING, Any

import pytest
import tensorflow as tf
from google.protobuf import text_format
from tensorflow.core.framework import op_def_pb2
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow.python.client import pywrap_tf_session
from tensorflow.python.trackable.resource import TrackableResource

from checkpointd.checkpoint import Outcome
from checkpointd.verify.safety import graph_ops
from checkpointd.verify.safety.graph_reading import graphs_of
from tests.helpers.load import load
from tests.helpers.scan import scanned

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NUMBER = tf.TensorSpec([], tf.float32)

REACHES = re.compile(
    r"(^|_)(address|ckpt|dir|directory|file|filename|filenames|file_name|file_pattern|host|logdir"
    r"|memory_region_name|path|pattern|patterns|prefix|server|target|target_name|token|uri|url"
    r"|urls|data_source_name|debug_ops_spec|descriptor_source|output_stream|protocol)$"
)
"""How the arguments and attributes are called that name a file, a host or a program."""

HARMLESS = frozenset(
    {"ApproxTopK"}  # a target that is a number
    | {"CollectiveAllToAllV2", "CollectiveGatherV2", "CollectiveReduceScatterV2"}
    | {"CollectiveReduceV2"}  # a token that orders them
    | {"BoostedTreesCreateEnsemble", "BoostedTreesDeserializeEnsemble"}  # a stamp
    | {"RegexFullMatch", "RegexReplace", "StaticRegexFullMatch", "StaticRegexReplace"}
    | {"ExperimentalSetStatsAggregatorDataset", "SetStatsAggregatorDataset"}  # a counter's name
    | {"ShardedFilename", "ShardedFilespec"}  # make a name and open nothing
)
"""Ops with such an argument that reach nothing."""


class Writing(TrackableResource):
    """A resource that writes a file when it is initialised."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path

    def _create_resource(self) -> Any:
        return tf.raw_ops.MutableHashTableV2(key_dtype=tf.string, value_dtype=tf.int64)

    def _initialize(self) -> None:
        tf.io.write_file(self.path, "x")


def every_op() -> op_def_pb2.OpList:
    """All ops that the installed TensorFlow registers."""
    found = op_def_pb2.OpList()
    found.ParseFromString(pywrap_tf_session.TF_GetBuffer(pywrap_tf_session.TF_GetAllOpList()))
    return found


def saved(path: Path, function: Callable[..., Any], spec: Any = NUMBER, **attributes: Any) -> Path:
    """Save a module with one signature."""
    module = tf.Module()
    for name, value in attributes.items():
        setattr(module, name, value)
    module.serve = tf.function(function, input_signature=[spec])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tf.saved_model.save(module, str(path), signatures=module.serve)
    return path


def vocabulary(path: Path) -> Any:
    """A table that is read from a file."""
    path.write_text("cat\ndog\n")
    whole, number = tf.lookup.TextFileIndex.WHOLE_LINE, tf.lookup.TextFileIndex.LINE_NUMBER
    start = tf.lookup.TextFileInitializer(str(path), tf.string, whole, tf.int64, number)
    return tf.lookup.StaticHashTable(start, -1)


def test_the_shipped_list_of_ops_is_tensorflows() -> None:
    """Only then can it be told which ops need a library of their own."""
    ours = graph_ops.registered()
    theirs = {op.name for op in every_op().op}
    version = tuple(int(part) for part in tf.__version__.split(".")[:2])
    if version == graph_ops.KNOWN_VERSION:
        assert theirs <= ours
        assert ours - theirs == graph_ops._ELSEWHERE - theirs
    else:
        assert version < graph_ops.KNOWN_VERSION, "make tensorflow_ops.txt anew"


def test_every_op_that_names_a_file_or_a_host_is_judged() -> None:
    """An op of a newer TensorFlow that is in no table fails here."""
    named = {
        op.name
        for op in every_op().op
        if any(REACHES.search(a.name) for a in (*op.input_arg, *op.attr))
    }
    assert sorted(named - graph_ops.WATCHED - HARMLESS) == []
    assert len(named) > 60


def _prints(x: Any) -> Any:
    tf.print(x)
    tf.debugging.assert_less(x, 1e9)
    return {"y": x + tf.reduce_sum(tf.zeros((1024, 1024)))}


def _iterates(x: Any) -> Any:
    for row in tf.data.Dataset.range(5).cache().map(lambda n: n + 1).shuffle(3).batch(2):
        x += tf.cast(tf.reduce_sum(row), tf.float32)
    return {"y": x}


def test_ordinary_programs_are_never_flagged(tmp_path: Path) -> None:
    """Prints, asserts, data sets in memory, a vocabulary, assets, a training step, zeros."""
    weight = tf.Variable(2.0)

    def step(x: Any) -> Any:
        with tf.GradientTape() as tape:
            loss = weight * x
        weight.assign_sub(tape.gradient(loss, weight))
        return {"y": loss}

    table = vocabulary(tmp_path / "vocabulary.txt")
    asset = tf.saved_model.Asset(str(tmp_path / "vocabulary.txt"))

    def reads(x: Any) -> Any:
        for line in tf.data.TextLineDataset(asset.asset_path):
            x += tf.cast(tf.strings.length(line), tf.float32)
        return {"y": x, "text": tf.io.read_file(asset.asset_path)}

    ordinary = (
        saved(tmp_path / "reads", reads, asset=asset),
        saved(tmp_path / "prints", _prints),
        saved(tmp_path / "iterates", _iterates),
        saved(tmp_path / "trains", step, weight=weight),
        saved(tmp_path / "looks_up", table.lookup, tf.TensorSpec([], tf.string), table=table),
    )
    for path in ordinary:
        assert scanned(path).clean, scanned(path).checks["safety"]
        as_text(path)
        assert scanned(path).clean, scanned(path).checks["safety"]


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
    """Those that decode images by their paths: whoever calls them says which file that is."""
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
    """Until then the sentence says which line to write; after it they are not run here."""
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
    made.other = tf.function(_calls_python, input_signature=[NUMBER])
    tf.saved_model.save(made, str(tmp_path / "1"), signatures=made.serve)
    result = scanned(tmp_path / "1").checks["safety"]
    assert (result.outcome, result.reason) == (Outcome.WARN, "safety.not_served")
    path = saved(tmp_path / "2", _calls_python)
    assert "It needs Python: it cannot run outside" in scanned(path).checks["safety"].message


def as_text(path: Path) -> None:
    """Write a SavedModel's graph as text, and see that it is read to the same."""
    graph = path / "saved_model.pb"
    binary = graphs_of(str(path), {"/saved_model.pb": graph.stat().st_size})
    message = saved_model_pb2.SavedModel.FromString(graph.read_bytes())
    text = path / "saved_model.pbtxt"
    text.write_text(text_format.MessageToString(message, as_utf8=True), "utf-8")
    graph.unlink()
    (path / "fingerprint.pb").unlink()
    read = graphs_of(str(path), {"/saved_model.pbtxt": text.stat().st_size})
    assert [_told(one) for one in read] == [_told(one) for one in binary]


def _told(graph: Any) -> Any:
    """All that is known of a graph, but for what constants take in the file."""
    functions = [
        (f.name, f.arguments, f.results, _nodes(f.nodes)) for f in graph.functions.values()
    ]
    objects = graph.objects
    return (
        (graph.version, graph.filename, graph.saver, graph.assets, graph.initial),
        (sorted(graph.signatures.items()), _nodes(graph.nodes), functions),
        (objects.functions, objects.assets, objects.constants, objects.saving),
        (objects.named, objects.loading, graph.fed, graph.otherwise),
    )


def _nodes(nodes: Any) -> Any:
    return [
        node._replace(
            called=tuple(sorted(node.called)),
            texts=dict(sorted(node.texts.items())),
            constant=node.constant and node.constant._replace(stored=0),
        )
        for node in nodes
    ]


def _writes(x: Any) -> Any:
    tf.io.write_file("/nonexistent/file", "x")
    return {"y": x}


def _saves(x: Any) -> Any:
    tf.raw_ops.SaveV2(
        prefix="/nonexistent/ckpt", tensor_names=["x"], shape_and_slices=[""], tensors=[x]
    )
    return {"y": x}


def _calls_python(x: Any) -> Any:
    return {"y": tf.ensure_shape(tf.numpy_function(lambda n: n, [x], tf.float32), [])}


def _reads_lines(x: Any) -> Any:
    for _ in tf.data.TextLineDataset("/nonexistent/lines"):
        x += 1.0
    return {"y": x}


@pytest.mark.parametrize(
    ("function", "op"),
    [
        (_writes, "WriteFile"),
        (_saves, "SaveV2"),
        (_calls_python, "PyFunc"),
        (_reads_lines, "TextLineDataset"),
    ],
)
def test_what_a_signature_reaches_is_found(
    tmp_path: Path, function: Callable[..., Any], op: str
) -> None:
    """With the way to it, however deep TensorFlow has put it; as text as well."""
    path = saved(tmp_path / "1", function)
    (finding,) = scanned(path).checks["safety"].details["findings"]
    assert (finding["word"], finding["what"]) == ("unsafe_op", op)
    assert "signature serving_default → function " in finding["message"]
    as_text(path)
    assert scanned(path).reasons == ["safety.unsafe_op"]


def test_an_initializer_that_writes_is_found(tmp_path: Path) -> None:
    """It runs when the SavedModel is loaded, without a call of anything."""
    resource = Writing(str(tmp_path / "written"))

    def look(x: Any) -> Any:
        size = tf.raw_ops.LookupTableSizeV2(table_handle=resource.resource_handle)
        return {"y": x + tf.cast(size, tf.float32)}

    path = saved(tmp_path / "1", look, resource=resource)
    result = scanned(path)
    assert result.reasons == ["safety.unsafe_op"]
    told = " ".join(f["message"] for f in result.checks["safety"].details["findings"])
    assert "the loading of an object → function " in told
    assert not (tmp_path / "written").exists()
