"""Graphs that TensorFlow itself writes: what is ordinary, what is found, and which ops there are.

The ops of the installed TensorFlow are held against the tables that the scan uses: whoever meets a
newer TensorFlow with an op that reaches outside learns of it here.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
import tensorflow as tf
from google.protobuf import text_format
from tensorflow.core.framework import op_def_pb2
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow.python.client import pywrap_tf_session
from tensorflow.python.trackable.resource import TrackableResource

from checkpointd.verify.scan.safety import graph_ops
from checkpointd.verify.scan.saved_model.reading import graphs_of
from tests.helpers.programs import calls_python, saved, vocabulary
from tests.helpers.scan import scanned

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

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


def test_the_shipped_list_of_ops_is_tensorflows() -> None:
    """Only then is it known which ops need a library."""
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
    assert [_facts(one) for one in read] == [_facts(one) for one in binary]


def _facts(graph: Any) -> Any:
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


def _reads_lines(x: Any) -> Any:
    for _ in tf.data.TextLineDataset("/nonexistent/lines"):
        x += 1.0
    return {"y": x}


@pytest.mark.parametrize(
    ("function", "op"),
    [
        (_writes, "WriteFile"),
        (_saves, "SaveV2"),
        (calls_python, "PyFunc"),
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
    messages = " ".join(f["message"] for f in result.checks["safety"].details["findings"])
    assert "the loading of an object → function " in messages
    assert not (tmp_path / "written").exists()
