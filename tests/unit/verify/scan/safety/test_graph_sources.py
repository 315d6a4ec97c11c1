"""Whose a path is that comes through calls, choices, loops and data sets, or from a caller."""

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
    outputs,
    saver,
    text,
    words,
)
from tests.helpers.protobuf import field

X = node("x", "Placeholder")
ASSET, OTHER = node("asset", "Placeholder"), node("other", "Placeholder")
FOREIGN = text("foreign", "/etc/passwd")
ASSETS = [asset("asset:0", "v.txt"), asset("other:0", "w.txt")]
SERVE = outputs("serving_default", "y:0")
READ = node("r", "ReadFile", "p")
GIVES, FAILS, OURS = "given_path", "unsafe_op", ""


def of(*nodes: bytes, functions: tuple[bytes, ...] = ()) -> str:
    """The one word for a graph whose signature gives `y`; empty where there is none."""
    made = meta_graph(
        X, ASSET, OTHER, FOREIGN, *nodes, functions=functions, assets=ASSETS, signatures=[SERVE]
    )
    (word,) = words(made) or [""]
    return word


@pytest.mark.parametrize(("path", "word"), [("asset", OURS), ("x", GIVES), ("foreign", FAILS)])
def test_a_path_is_followed_through_what_hands_it_on(path: str, word: str) -> None:
    """Through a call and what it gives back, the body of a loop, a list, an element of a batch."""
    reads = function("f", READ, arguments=["p"])
    call = node("y", "PartitionedCall", path, calls=["f"])
    assert of(call, functions=(reads,)) == word
    gives = function("g", node("i", "Identity", "p"), arguments=["p"], results=["i:output:0"])
    called = node("c", "StatefulPartitionedCall", path, calls=["g"])
    assert of(called, node("y", "ReadFile", "c"), functions=(gives,)) == word
    assert of(node("c", "g", path), node("y", "ReadFile", "c"), functions=(gives,)) == word
    body = function(
        "body", READ, node("n", "AddV2", "k", "k"), arguments=["k", "p"], results=["n:z:0", "p"]
    )
    end = function("end", node("l", "Less", "k", "k"), arguments=["k", "p"], results=["l:z:0"])
    loop = node("y", "While", "count", path, calls=["body", "end"])
    assert of(node("count", "Size", "x"), loop, functions=(body, end)) == word
    listed = function(
        "body",
        node("p", "TensorListGetItem", "ps", "k", "k"),
        READ,
        node("n", "AddV2", "k", "k"),
        arguments=["k", "ps"],
        results=["n:z:0", "ps"],
    )
    ps = node("ps", "TensorListFromTensor", path, "shape")
    loop = node("y", "StatelessWhile", "count", "ps", calls=["body", "end"])
    assert of(node("count", "Size", "x"), ps, loop, functions=(listed, end)) == word
    one = node("one", "StridedSlice", path, "count", "count", "count")
    assert of(node("count", "Rank", "x"), one, node("y", "ReadFile", "one")) == word
    same = function("same", arguments=["p"], results=["p"])
    chain = (
        node("ds", "TensorSliceDataset", path),
        node("b", "BatchDatasetV2", "ds", "n", "n"),
        node("m", "MapDataset", "b", calls=["same"]),
        node("u", "UnbatchDataset", "m"),
        node("y", "MapDataset", "u", calls=["f"]),
    )
    assert of(*chain, functions=(reads, same)) == word


@pytest.mark.parametrize("op", ["If", "StatelessIf", "Case", "StatelessCase"])
def test_a_choice_is_between_what_it_is_given(op: str) -> None:
    """Each branch has the arguments behind the choice itself; what they give are all paths."""
    first = function("first", arguments=["p", "q"], results=["p"])
    second = function("second", arguments=["p", "q"], results=["q"])
    choice = node("which", "Greater", "x", "x")

    def between(one: str, other: str) -> str:
        chosen = node("c", op, "which", one, other, calls=["first", "second"])
        return of(choice, chosen, node("y", "ReadFile", "c"), functions=(first, second))

    assert between("asset", "other") == OURS
    assert between("asset", "x") != OURS
    assert between("asset", "foreign") == between("foreign", "x") == FAILS
    reads = function("reads", READ, arguments=["q", "p"])
    at = node("y", op, "which", "foreign", "asset", calls=["reads"])
    assert of(choice, at, functions=(reads,)) == OURS


def test_what_a_loop_puts_in_the_place_of_a_path_is_a_path_too() -> None:
    """The first round reads the asset, the second one what the body made of it."""
    end = function("end", node("l", "Less", "p", "p"), arguments=["p"], results=["l:z:0"])
    own = text("own", "/etc/passwd")
    body = function("body", READ, own, arguments=["p"], results=["own:output:0"])
    assert of(node("y", "While", "asset", calls=["body", "end"]), functions=(body, end)) == FAILS
    made = node("own", "UnicodeEncode", "p")
    body = function("body", READ, made, arguments=["p"], results=["own:output:0"])
    assert of(node("y", "While", "asset", calls=["body", "end"]), functions=(body, end)) == FAILS
    for op in ("ScanDataset", "ReduceDataset", "GeneratorDataset"):
        body = function("body", READ, own, arguments=["p"], results=["own:output:0"])
        assert of(node("y", op, "x", "asset", calls=["body"]), functions=(body,)) == FAILS


def test_an_asset_is_the_very_tensor_and_is_fed_only_where_loading_feeds_it() -> None:
    """Its neighbour, or what a signature makes in its place, is a path like another."""
    split = node("s", "Split", "x", "foreign")
    for tensor, files, word in (("s:1", "s:1", FAILS), ("s", "s:1", FAILS)):
        read = node("y", "ReadFile", tensor)
        made = meta_graph(
            X, FOREIGN, split, read, assets=[asset(files, "v.txt")], signatures=[SERVE]
        )
        assert words(made) == [word]
    join = node("a", "StringJoin", "foreign", "foreign")
    read = node("y", "ReadFile", "a")
    files = [asset("a:0", "v.txt")]
    assert words(meta_graph(FOREIGN, join, read, assets=files, signatures=[SERVE])) == [FAILS]
    loaded = [main_op("saved_model_main_op", "y")]
    assert words(meta_graph(FOREIGN, join, read, assets=files, collections=loaded)) == []


def test_the_last_of_two_values_of_a_field_counts() -> None:
    """As protobuf has it: the first names are what an attacker wants to be looked at."""
    climbs = asset("x:0", "v.txt") + field(2, "../../x")
    assert words(meta_graph(X, assets=[climbs])) == ["traversal"]
    twice = field(1, field(1, "asset:0")) + field(1, field(1, "x:0")) + field(2, "v.txt")
    read = node("y", "ReadFile", "asset")
    made = meta_graph(X, FOREIGN, text("asset", "/x"), read, assets=[twice], signatures=[SERVE])
    assert words(made) == [FAILS]


@pytest.mark.parametrize(
    ("parts", "word"),
    [
        (("x", "suffix"), GIVES),
        (("x", "x"), GIVES),
        (("suffix", "x"), FAILS),
        (("x", "deep"), FAILS),
        (("x", "climbs"), FAILS),
        (("x", "suffix", "suffix"), FAILS),
        (("x", "made"), FAILS),
        (("x", "asset"), FAILS),
    ],
)
def test_a_path_that_is_put_together_is_the_callers_where_it_begins_with_theirs(
    parts: tuple[str, ...], word: str
) -> None:
    """An empty beginning leads nowhere else either: a single name in the root directory."""
    nodes = (
        text("suffix", "/model.ckpt"),
        text("deep", "/etc/passwd"),
        text("climbs", ".."),
        node("made", "AsString", "x"),
        node("j", "StringJoin", *parts),
        node("s", "StringStrip", "j"),
        node("y", "ReadFile", "s"),
    )
    assert of(*nodes) == word


def test_the_separator_of_a_path_is_a_part_of_it() -> None:
    """It may climb, or name a place of its own."""
    for between, word in (("/", GIVES), ("/../", FAILS), ("/etc/", FAILS)):
        join = node("j", "StringJoin", "x", "x", separator=between)
        assert of(join, node("y", "ReadFile", "j")) == word


def test_what_makes_an_input_of_a_signature_is_not_run() -> None:
    """TensorFlow 1 serves the graph that it trained, and feeds what the reader gave there."""
    factory = function("make", text("f", "/data/train"), node("d", "TFRecordDataset", "f"))
    nodes = (
        node("it", "OneShotIterator", calls=["make"]),
        node("next", "IteratorGetNext", "it"),
        node("x", "PlaceholderWithDefault", "next"),
        node("y", "Identity", "x"),
    )

    def served(*inputs: str, defaults: tuple[str, ...] = ()) -> list[str]:
        serve = outputs("serving_default", "y:0", inputs=inputs, defaults=defaults)
        return words(meta_graph(*nodes, functions=[factory], signatures=[serve]))

    assert served("x:0") == served("next:0") == []
    assert served() == served("next:1") == served("x:0", defaults=("x:0",)) == [FAILS]


@pytest.mark.parametrize(
    ("inputs", "defaults", "word"),
    [(("x:0",), (), GIVES), ((), (), FAILS), (("x:0",), ("x:0",), FAILS)],
)
def test_the_default_of_a_placeholder_is_read_where_it_is_not_fed(
    inputs: tuple[str, ...], defaults: tuple[str, ...], word: str
) -> None:
    """A signature may have a default for an input as well."""
    nodes = (
        text("c", "example.jpg"),
        node("x", "PlaceholderWithDefault", "c"),
        node("y", "ReadFile", "x"),
    )
    serve = outputs("serving_default", "y:0", inputs=inputs, defaults=defaults)
    assert words(meta_graph(*nodes, signatures=[serve])) == [word]


def test_an_input_of_one_signature_is_no_input_of_another() -> None:
    """Both read the node; only one of them is given the path."""
    nodes = (FOREIGN, node("x", "Identity", "foreign"), node("y", "ReadFile", "x"))
    given = outputs("given", "y:0", inputs=["x:0"])
    assert words(meta_graph(*nodes, signatures=[given])) == [GIVES]
    assert words(meta_graph(*nodes, signatures=[given, SERVE])) == [FAILS]


def _iterating(*more: bytes, ops: tuple[str, ...] = ("TextLineDataset",)) -> bytes:
    inside = [node(f"n{i}", op, "path") for i, op in enumerate(ops)]
    return meta_graph(
        X,
        node("y", "Identity", "x"),
        node("data", "FlatMapDataset", "x", calls=["one"]),
        node("it", "IteratorV2"),
        node("ready", "MakeIterator", "data", "it"),
        *more,
        functions=[function("one", text("path", "/data/train"), *inside)],
        signatures=[SERVE],
        collections=[main_op("saved_model_main_op", "ready")],
    )


def test_an_iterator_that_is_made_ready_reads_nothing_until_it_is_asked() -> None:
    """`make_initializable_iterator` beside the tables, in a program that then feeds its model."""
    assert words(_iterating()) == []
    assert words(_iterating(ops=("ReadFile", "PyFunc"))) == []
    assert words(_iterating(ops=("WriteFile",))) == [FAILS]
    asked = node("next", "IteratorGetNext", "it")
    assert words(_iterating(asked)) == []
    assert words(_iterating(asked, node("y", "Identity", "next"))) == [FAILS]
    assert words(_iterating(node("y", "ReduceDataset", "data", "x", calls=["one"]))) == [FAILS]


def test_what_is_initialised_by_default_is_run_only_by_default() -> None:
    """TensorFlow 2 does so where a graph of TensorFlow 1 names no op for it."""
    nodes = (FOREIGN, node("init", "InitializeTableFromTextFileV2", "t", "foreign"))
    tables = main_op("table_initializer", "init")
    local = field(1, "local_variables") + field(2, field(2, field(1, field(2, "init"))))
    for collection in (tables, local):
        assert words(meta_graph(*nodes, collections=[collection])) == ["foreign_reference"]
        main = main_op("saved_model_main_op", "foreign")
        assert words(meta_graph(*nodes, collections=[collection, main])) == []
        nowhere = main_op("legacy_init_op", "nowhere")
        assert len(words(meta_graph(*nodes, collections=[collection, nowhere]))) == 1
    step = outputs("__saved_model_train_op", "init")
    assert words(meta_graph(*nodes, signatures=[step])) == []


def test_of_very_many_signatures_none_is_known_to_be_given_a_path() -> None:
    """What would cost more than it is worth to find out is judged as if nobody gave anything."""
    nodes = (node("y", "ReadFile", "x"), node("w", "WriteFile", "foreign", "x"))
    for count, word in ((2, GIVES), (300, FAILS)):
        many = [outputs(f"s{i}", "y:0", inputs=["x:0"]) for i in range(count)]
        read = node("x", "Identity", "foreign")
        assert words(meta_graph(FOREIGN, read, nodes[0], signatures=many)) == [word]
        writes = [*many, outputs("w", "w:0")]
        assert FAILS in words(meta_graph(FOREIGN, read, *nodes, signatures=writes))


SAVES = function("s", node("w", "Save", "path", "names", "x"), arguments=["path"])


def _on_device(path: bytes, *signatures: str, reads: str = "Restore") -> bytes:
    """A graph with `save` and `restore`, as the guide to training on a device has them."""
    restores = function("r", node("r", reads, "path", "name", "s"), arguments=["path"])
    return meta_graph(
        X,
        node("y", "Identity", "x"),
        path,
        node("saved", "StatefulPartitionedCall", "path", calls=["s"]),
        node("restored", "StatefulPartitionedCall", "path", calls=["r"]),
        functions=[SAVES, restores],
        signatures=[
            outputs("save", "saved:0", inputs=["path:0"]),
            outputs("restore", "restored:0", inputs=["path:0"]),
            *(outputs(name, "saved:0", inputs=["path:0"]) for name in signatures),
        ],
    )


def test_signatures_that_save_and_restore_are_allowed_by_name() -> None:
    """The message contains the line to write; others are found all the same."""
    made = _on_device(node("path", "Placeholder"))
    line = 'set allow_signatures = ["restore", "save"] in [watch.verify]'
    assert all(f.word == "unsafe_op" and line in f.message for f in found(made))
    assert len(found(made)) == 2
    assert words(made, allowed=["save", "restore"]) == []
    assert words(made, allowed=["save"]) == ["unsafe_op"]
    more = _on_device(node("path", "Placeholder"), "serving_default")
    assert words(more, allowed=["save", "restore"]) == ["unsafe_op"]


def test_what_a_signature_is_allowed_is_the_path_that_it_is_given_alone() -> None:
    """A path of its own is not its caller's path, whatever the signature is called."""
    own = meta_graph(
        FOREIGN,
        node("y", "StatefulPartitionedCall", "foreign", calls=["s"]),
        functions=[SAVES],
        signatures=[outputs("save", "y:0")],
    )
    (finding,) = found(own, allowed=["save"])
    assert finding.word == "unsafe_op"
    assert "writes to '/etc/passwd', a constant in the graph" in finding.message
    assert "allow_signatures" not in finding.message


def test_a_function_that_saves_where_it_is_asked_is_a_warning() -> None:
    """Nothing serves it; who calls it by its name gives the path."""
    objects = {"functions": [SAVES], "concretes": [concrete("s")]}
    assert words(meta_graph(X, **objects)) == ["given_path"]
    given = _on_device(node("path", "Placeholder"))
    held = field(7, field(1, field(6, field(1, "s"))) + field(2, concrete("s")))
    assert words(given + held, allowed=["save", "restore"]) == []


def test_the_path_of_a_saver_is_the_very_tensor() -> None:
    """Another output of the same node is a path like another."""
    nodes = (FOREIGN, node("s", "Split", "n", "foreign"), node("y", "RestoreV2", "s:1", "n", "n"))
    assert len(words(meta_graph(*nodes, saving=saver("s:0", "y")))) == 1
