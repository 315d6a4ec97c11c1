"""Where the path of an op that opens a file is from: assets are ordinary, all else is not."""

from __future__ import annotations

import pytest

from tests.helpers.graphs import (
    asset,
    concrete,
    found,
    function,
    main_op,
    meta_graph,
    node,
    numbers,
    outputs,
    saver,
    text,
    words,
)
from tests.helpers.protobuf import field

X = node("x", "Placeholder")
SERVE = outputs("serving_default", "y:0")


def test_the_path_of_the_saver_is_no_vocabulary() -> None:
    """Any node can be called the saver's: a constant of it is a path like another."""
    table = node("init", "InitializeTableFromTextFileV2", "table", "elsewhere")
    made = meta_graph(
        text("elsewhere", "/etc/passwd"),
        table,
        collections=[main_op("saved_model_main_op", "init")],
        saving=saver("elsewhere:0"),
    )
    assert words(made) == ["foreign_reference"]


@pytest.mark.parametrize("op", ["InitializeTableFromTextFileV2", "CacheDatasetV2"])
def test_a_path_that_a_variable_holds_is_none_of_the_assets(op: str) -> None:
    """A function captures it, and its value comes with the weights."""
    nodes = [node("path", "ReadVariableOp", "captured"), node("i", op, "table", "path")]
    init = function("init", *nodes, arguments=["captured"])
    variable = field(7, field(1, 7))
    made = meta_graph(functions=[init], objects=[variable], concretes=[concrete("init", 0)])
    assert len(words(made)) == 1


def test_a_constant_is_an_asset_only_while_it_is_loaded() -> None:
    """TensorFlow 1 feeds the asset's path in its place then; a signature reads the constant."""
    path, files = text("path", "/etc/passwd"), [asset("path:0", "words.txt")]
    read = node("y", "ReadFile", "path")
    assert words(meta_graph(path, read, signatures=[SERVE], assets=files)) == ["unsafe_op"]
    loading = [main_op("saved_model_main_op", "y")]
    assert words(meta_graph(path, read, collections=loading, assets=files)) == []


@pytest.mark.parametrize(("path", "harmful"), [("", False), ("/var/cache", True)])
def test_a_cache_is_ordinary_in_memory_alone(path: str, harmful: bool) -> None:
    """Its file has an empty name then, also where it is handed to a function."""
    cache = node("c", "CacheDatasetV2", "d", "file", "m")
    made = meta_graph(
        X,
        text("empty", path),
        node("y", "StatefulPartitionedCall", "x", "empty", calls=["f"]),
        functions=[function("f", cache, arguments=["d", "file"])],
        signatures=[SERVE],
    )
    assert words(made) == (["unsafe_op"] if harmful else [])


def test_a_vocabulary_among_the_assets_is_ordinary() -> None:
    """In TensorFlow 1 the path is a constant that is replaced when it is loaded."""
    nodes = (
        text("path", "/home/me/vocabulary.txt"),
        node("table", "HashTableV2"),
        node("init", "InitializeTableFromTextFileV2", "table", "path"),
    )
    run = [main_op("table_initializer", "init")]
    ordinary = meta_graph(*nodes, collections=run, assets=[asset("path:0", "vocabulary.txt")])
    assert words(ordinary) == []
    packed = field(1, "type.googleapis.com/tensorflow.AssetFileDef")
    packed += field(2, asset("path:0", "vocabulary.txt"))
    collected = field(1, "saved_model_assets") + field(2, field(5, field(1, packed)))
    assert words(meta_graph(*nodes, collections=[*run, collected])) == []
    (finding,) = found(meta_graph(*nodes, collections=run))
    assert (finding.word, finding.what) == ("foreign_reference", "/home/me/vocabulary.txt")
    assert words(meta_graph(*nodes)) == []


@pytest.mark.parametrize("harmful", [False, True])
def test_what_a_function_captures_is_followed(harmful: bool) -> None:
    """In TensorFlow 2 it captures the object of an asset, or a constant of any text."""
    init = function(
        "init",
        node("i", "InitializeTableFromTextFileV2", "table", "path"),
        arguments=["table", "path"],
    )
    objects = [b"", field(9, field(1, "Const")) if harmful else field(5, b"")]
    made = meta_graph(
        text("Const", "/etc/passwd"),
        functions=[init],
        objects=objects,
        concretes=[concrete("init", 0, 1)],
    )
    assert words(made) == (["foreign_reference"] if harmful else [])


@pytest.mark.parametrize("path", ["asset", "foreign", "x", "made"])
def test_what_reads_an_asset_is_ordinary(path: str) -> None:
    """Also inside a function that a data set hands its elements to."""
    one = function("one_file", node("t", "TextLineDataset", "name"), arguments=["name"])
    nodes = (
        node("asset", "Placeholder"),
        text("foreign", "/etc/passwd"),
        node("letters", "UnicodeEncode", "numbers"),
        node("made", "StringJoin", "asset", "letters"),
        numbers("numbers", 47, 46, 46),
        node("names", "TensorSliceDataset", path),
        node("lines", "FlatMapDataset", "names", calls=["one_file"]),
        node("content", "ReadFile", path),
        node("y", "Identity", "content", "^lines"),
    )
    made = meta_graph(
        X, *nodes, functions=[one], assets=[asset("asset:0", "v.txt")], signatures=[SERVE]
    )
    expected = {"asset": [], "x": ["given_path"] * 2}
    assert words(made) == expected.get(path, ["unsafe_op"] * 2)


def test_a_variable_that_keeps_the_path_of_an_asset_is_followed() -> None:
    """That is how TensorFlow 2 initialises it in the main graph."""
    nodes = (
        node("asset_path_initializer", "Placeholder"),
        node("Variable", "VarHandleOp"),
        node("assign", "AssignVariableOp", "Variable", "asset_path_initializer"),
        node("read", "ReadVariableOp", "Variable", "^assign"),
        node("init", "InitializeTableFromTextFileV2", "x", "read"),
    )
    made = meta_graph(
        X,
        *nodes,
        assets=[asset("asset_path_initializer:0", "v.txt")],
        signatures=[outputs("__saved_model_init_op", "init")],
    )
    assert words(made) == []


@pytest.mark.parametrize("name", ["../../x", "/etc/x", "a/../../x", "..\\x"])
def test_a_name_of_an_asset_that_leads_out_is_found(name: str) -> None:
    """`assets/` and everything below it is where an asset may be."""
    assert words(meta_graph(X, assets=[asset("x:0", name)])) == ["traversal"]
    assert words(meta_graph(X, assets=[asset("x:0", "sub/..x/v.txt")])) == []
