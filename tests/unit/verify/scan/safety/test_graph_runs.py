"""Who runs an op of a graph, and what that makes of it: a danger, a warning, or nothing."""

from __future__ import annotations

import pytest

from checkpointd.verify.scan.safety import graph_ops
from tests.helpers.graphs import (
    concrete,
    found,
    function,
    main_op,
    meta_graph,
    node,
    outputs,
    text,
    words,
)
from tests.helpers.protobuf import field

X = node("x", "Placeholder")
Y = node("y", "Identity", "x")
SERVE = outputs("serving_default", "y:0")
READ = node("r", "ReadFile", "x")
CALL = node("y", "StatefulPartitionedCall", "x", calls=["f"])


@pytest.mark.parametrize("op", ["TFRecordDataset", "PyFunc", "CreateSummaryFileWriter"])
def test_what_the_data_sets_of_training_call_is_left_beside_too(op: str) -> None:
    """TensorFlow 1 has their readers in functions; only what is run itself runs those."""
    inner = function("one_file", node("n", op, "a"), arguments=["a"])
    flat = node("d", "FlatMapDataset", "a", calls=["one_file"])
    outer = function("make", flat, arguments=["a"])
    dataset = node("iterator", "OneShotIterator", calls=["make"])
    made = meta_graph(X, Y, dataset, functions=[inner, outer], signatures=[SERVE])
    assert words(made) == []
    run = [outputs("serving_default", "iterator:0")]
    assert words(meta_graph(X, dataset, functions=[inner, outer], signatures=run)) == ["unsafe_op"]


def test_a_function_that_stands_in_for_another_is_run() -> None:
    """TensorFlow may run it in place of any function with the same `api_implements`."""
    chosen = function("g", READ, arguments=["x"])
    chosen += field(5, field(1, "api_implements") + field(2, field(2, "lstm")))
    call = node("left", "PartitionedCall", "x", calls=["g"])
    (finding,) = found(meta_graph(X, Y, call, functions=[chosen], signatures=[SERVE]))
    assert "the choice among implementations → function g → node r" in finding.message


@pytest.mark.parametrize("op", ["WriteFile", "RpcClient", "XlaCustomCallV2", "DumpTensor"])
def test_what_writes_or_connects_is_reported_though_nothing_runs_it(op: str) -> None:
    """It does no harm where it is, and no export of a training job holds such a node."""
    made = meta_graph(X, Y, node("w", op, "x"), signatures=[SERVE])
    (finding,) = found(made)
    assert finding.word == "not_served"
    assert "nothing that is run → node w" in finding.message


@pytest.mark.parametrize("op", sorted(graph_ops.READS | graph_ops.WRITES | graph_ops.PYTHON))
def test_an_op_in_a_function_is_judged_by_who_calls_it(op: str) -> None:
    """A signature runs it; if nothing runs it, it is at most a warning."""
    inside = function("f", text("path", "/srv/x"), node("n", op, "path", "path"), arguments=["a"])
    run = meta_graph(X, CALL, functions=[inside], signatures=[SERVE])
    assert words(run) == ["unsafe_op"]
    orphan = meta_graph(X, Y, functions=[inside], signatures=[SERVE])
    assert words(orphan) == ([] if op in graph_ops.PYTHON else ["not_served"])


def test_a_table_that_a_function_is_given_is_ordinary_where_nobody_calls_it() -> None:
    """TFX leaves such beside the one that is run: it names no file."""
    table = node("i", "InitializeTableFromTextFileV2", "table", "path")
    given = function("lambda", table, arguments=["path", "table"])
    assert words(meta_graph(X, Y, functions=[given], signatures=[SERVE])) == []
    own = function("lambda", text("path", "/etc/passwd"), table, arguments=["table"])
    assert words(meta_graph(X, Y, functions=[own], signatures=[SERVE])) == ["not_served"]


@pytest.mark.parametrize("held", [field(6, field(1, "f")), field(8, field(1, "f"))])
def test_a_function_that_an_object_has_is_run_though_it_is_not_listed(held: bytes) -> None:
    """TensorFlow takes it from the library, whether it is among the concrete ones or not."""
    own = function("f", text("path", "/srv/x"), node("w", "WriteFile", "path", "path"))
    assert words(meta_graph(functions=[own], objects=[held])) == ["unsafe_op"]


def test_what_the_loading_of_an_object_calls_is_given_no_path_by_anybody() -> None:
    """What restores it takes what the checkpoint holds, what initialises it takes nothing."""
    reads = function("f", node("r", "ReadFile", "a"), arguments=["a"])
    held = field(6, field(1, "f"))
    named = field(1, field(1, 0) + field(2, "_initialize"))
    for owner in (field(11, field(1, "x") + field(2, field(3, 0))), named + field(10, b"")):
        (finding,) = found(meta_graph(functions=[reads], objects=[held, owner]))
        assert finding.word == "unsafe_op"
        assert "the loading of an object → function f" in finding.message
    assert words(meta_graph(functions=[reads], objects=[held, named])) == ["given_path"]


def test_a_function_that_a_text_names_is_run() -> None:
    """TensorRT's op keeps the name of its function so."""
    own = function("f", text("path", "/srv/x"), node("w", "WriteFile", "path", "path"))
    call = node("y", "TRTEngineOp", "x", segment_funcdef_name="f")
    assert words(meta_graph(X, call, functions=[own], signatures=[SERVE])) == ["unsafe_op"]


def test_a_python_function_is_a_danger_to_nobody_who_does_not_run_it() -> None:
    """Reached by a signature it keeps it from ever running; otherwise it is a warning."""
    calls = function("f", node("p", "PyFunc", "x"), arguments=["x"])
    (finding,) = found(meta_graph(X, CALL, functions=[calls], signatures=[SERVE]))
    assert finding.word == "unsafe_op"
    assert "It needs Python: it cannot run outside the process that made it." in finding.message
    objects = {"functions": [calls], "concretes": [concrete("f")]}
    (finding,) = found(meta_graph(X, Y, signatures=[SERVE], **objects))
    assert finding.word == "not_served"
    loaded = [main_op("saved_model_main_op", "y")]
    assert words(meta_graph(X, CALL, collections=loaded, **objects)) == ["unsafe_op"]
