"""Which ops of a SavedModel's graph are findings: by who runs them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from checkpointd.core.check_result import Outcome
from checkpointd.core.request import End
from tests.helpers.bundles import bundle
from tests.helpers.graphs import (
    STRING,
    asset,
    attribute,
    concrete,
    constant,
    found,
    function,
    main_op,
    meta_graph,
    node,
    outputs,
    parsed,
    saver,
    shaped,
    text,
    words,
)
from tests.helpers.protobuf import field
from tests.helpers.scan import scanned

if TYPE_CHECKING:
    from pathlib import Path

X = node("x", "Placeholder")
Y = node("y", "Identity", "x")
SERVE = outputs("serving_default", "y:0")
WRITE = node("w", "WriteFile", "x", "x")
OWN = node("w", "WriteFile", "path", "path")
READ = node("r", "ReadFile", "x")
CALL = node("y", "StatefulPartitionedCall", "x", calls=["f"])
ORDINARY = (
    text("save/Const", "model"),
    text("save/part", "_temp/part"),
    node("save/StringJoin", "StringJoin", "save/Const", "save/part"),
    node("save/SaveV2", "SaveV2", "save/StringJoin", "names", "slices", "v"),
    node("save/merge", "MergeV2Checkpoints", "save/StringJoin", "save/Const"),
    node("save/control_dependency", "Identity", "save/Const", "^save/merge"),
    node("save/RestoreV2", "RestoreV2", "save/Const", "names", "slices"),
    node("save/restore_all", "NoOp", "^save/RestoreV2"),
)


def test_the_ops_of_a_saver_are_ordinary() -> None:
    """They use the path that the saver is given, in the graph itself as TensorFlow 1 has them."""
    assert words(meta_graph(X, Y, *ORDINARY, signatures=[SERVE], saving=saver())) == []


def test_the_functions_of_a_saver_are_ordinary() -> None:
    """TensorFlow 2 has them in functions, called by the saver, or by nobody in what is old."""
    save = function("save_1", *ORDINARY[1:4], arguments=["save/Const"])
    restore = function("restore_2", ORDINARY[6], arguments=["save/Const"])
    calls = (
        node("saver_filename", "Placeholder"),
        node(
            "save/control_dependency", "PartitionedCall", "saver_filename", calls=["traced_save_1"]
        ),
        node("save/restore_all", "PartitionedCall", "saver_filename", calls=["traced_restore_2"]),
    )
    made = meta_graph(*calls, X, Y, functions=[save, restore], saving=saver("saver_filename:0"))
    assert words(made) == []
    assert words(meta_graph(X, Y, functions=[save, restore], signatures=[SERVE])) == []


def test_a_saver_that_writes_while_it_restores_is_found() -> None:
    """Loading runs what restores: to write is then no saver's business, wherever it leads."""
    write = node("save/more", "SaveV2", "save/StringJoin", "names", "slices", "v")
    restore = node("save/restore_all", "NoOp", "^save/RestoreV2", "^save/more")
    (finding,) = found(meta_graph(*ORDINARY[:-1], write, restore, saving=saver()))
    assert (finding.word, finding.where) == ("unsafe_op", "save/more")


def test_a_function_that_saves_and_has_a_name_can_be_called() -> None:
    """What an object keeps for its saving has none; `serve` is called, whatever else it is for."""
    saves = function("s", node("w", "SaveV2", "path", "names", "slices"), arguments=["path"])
    held = field(6, field(1, "s"))
    saveable = field(11, field(1, "x") + field(2, field(2, 0)))
    made = {"functions": [saves], "concretes": [concrete("s")]}
    assert words(meta_graph(objects=[held, saveable], **made)) == []
    root = saveable + field(1, field(1, 0) + field(2, "serve"))
    assert words(meta_graph(objects=[held, root], **made)) == ["given_path"]
    own = function("s", text("path", "/x"), node("w", "SaveV2", "path", "names", "slices"))
    made = {"functions": [own], "concretes": [concrete("s")]}
    assert words(meta_graph(objects=[held, root], **made)) == ["unsafe_op"]


def test_what_the_call_of_a_function_fills_in_is_not_empty() -> None:
    """An attribute, or a constant, may be left to the caller of the function."""
    left = attribute("output_stream", field(9, "where"))
    printing = function("f", node("p", "PrintV2", "x") + left, arguments=["x"])
    assert words(meta_graph(X, CALL, functions=[printing], signatures=[SERVE])) == ["unsafe_op"]
    path = node("path", "Const") + attribute("value", field(9, "where"))
    cache = node("c", "CacheDatasetV2", "x", "path", "memory")
    caching = function("f", path, cache, arguments=["x"])
    assert words(meta_graph(X, CALL, functions=[caching], signatures=[SERVE])) == ["unsafe_op"]


@pytest.mark.parametrize(("shape", "sizes"), [((), b"\x06"), ((2,), b"\x06\x00")])
def test_a_packed_string_is_not_empty(shape: tuple[int, ...], sizes: bytes) -> None:
    """TensorFlow takes the content of a tensor for strings as well: sizes, then characters."""
    path = constant("path", shaped(STRING, *shape) + field(4, sizes + b"/srv/x"))
    made = meta_graph(
        path, X, node("y", "CacheDatasetV2", "x", "path", "memory"), signatures=[SERVE]
    )
    assert words(made) == ["unsafe_op"]
    table = node("y", "InitializeTableFromTextFileV2", "table", "path")
    (finding,) = found(meta_graph(path, table, signatures=[SERVE]))
    assert finding.what == "/srv/x"


def test_a_saver_that_reads_another_checkpoint_is_found() -> None:
    """Loading restores from the path that it is given, and from no other."""
    foreign = text("elsewhere", "/etc/ckpt")
    restore = node("save/RestoreV2", "RestoreV2", "elsewhere", "names", "slices")
    made = meta_graph(*ORDINARY[:-2], foreign, restore, ORDINARY[-1], saving=saver())
    (finding,) = found(made)
    assert (finding.word, finding.what) == ("foreign_reference", "RestoreV2")
    assert "/etc/ckpt" in finding.message
    assert "the saver → " in finding.message


@pytest.mark.parametrize(
    ("up", "word"),
    [
        (text("up", "/../../x"), "foreign_reference"),
        (text("up", "x"), "unsafe_op"),
        (node("up", "UnicodeEncode", "y"), "unsafe_op"),
    ],
)
def test_a_saver_is_no_excuse_for_a_path_beside_its_own(up: bytes, word: str) -> None:
    """A path put together of the one that is given and another one is not the one given."""
    joined = node("joined", "StringJoin", "save/Const", "up")
    restore = node("save/RestoreV2", "RestoreV2", "joined", "names", "slices")
    made = meta_graph(*ORDINARY[:-2], Y, up, joined, restore, ORDINARY[-1], saving=saver())
    assert words(made) == [word]


@pytest.mark.parametrize("op", ["SaveV2", "RestoreV2", "MergeV2Checkpoints"])
def test_a_signature_that_uses_checkpoints_is_found(op: str) -> None:
    """Whatever the path is: that is what a saver is for."""
    made = meta_graph(X, node("y", op, "x", "x", "x"), signatures=[SERVE])
    assert words(made) == ["unsafe_op"]


def test_what_training_left_beside_the_served_graph_is_ordinary() -> None:
    """Readers, Python functions and initialisers from a checkpoint: nobody runs them."""
    left = (
        text("path", "/home/me/bert.ckpt"),
        node("checkpoint_initializer", "RestoreV2", "path", "names", "slices"),
        node("reader", "TFRecordReaderV2"),
        node("image", "ReadFile", "path"),
        node("targets", "PyFunc", "image"),
        node("cached", "CacheDataset", "image", "path"),
        node("events", "CreateSummaryFileWriter", "path"),
        text("save_1/Const", "model"),
        node("save_1/SaveV2", "SaveV2", "save_1/Const", "names", "slices"),
    )
    assert words(meta_graph(X, Y, *left, signatures=[SERVE])) == []


def test_the_message_names_the_path_from_what_runs_it() -> None:
    """The signature, the functions on the way, and the node."""
    inner = function("g", text("path", "/srv/x"), OWN, arguments=["x"])
    outer = function("f", node("call", "PartitionedCall", "x", calls=["g"]), arguments=["x"])
    (finding,) = found(meta_graph(X, CALL, functions=[outer, inner], signatures=[SERVE]))
    way = "signature serving_default → function f → function g → node w (WriteFile) writes to "
    assert f"{way}'/srv/x', a constant in the graph. Do not load it" in finding.message
    assert (finding.where, finding.what) == ("w", "WriteFile")


def test_what_loading_runs_is_named_before_what_signatures_run() -> None:
    """An initializer does its harm though nobody calls anything."""
    f = function("f", WRITE, arguments=["x"])
    made = meta_graph(
        X, CALL, functions=[f], signatures=[outputs("__saved_model_init_op", "y"), SERVE]
    )
    assert "signature __saved_model_init_op → function f" in found(made)[0].message
    old = meta_graph(X, CALL, functions=[f], collections=[main_op("legacy_init_op", "y")])
    assert "the collection legacy_init_op → function f" in found(old)[0].message
    objects = meta_graph(X, functions=[f], concretes=[concrete("f")])
    assert "the saved objects → function f" in found(objects)[0].message


def test_a_control_input_is_followed() -> None:
    """A node may be run for its effect alone."""
    path = text("path", "/srv/x")
    made = meta_graph(X, path, OWN, node("y", "Identity", "x", "^w"), signatures=[SERVE])
    assert words(made) == ["unsafe_op"]


@pytest.mark.parametrize(
    ("op", "texts", "harmful"),
    [
        ("PrintV2", {"output_stream": "stderr"}, False),
        ("PrintV2", {}, False),
        ("PrintV2", {"output_stream": "file:///tmp/x"}, True),
        ("DebugNumericSummary", {}, False),
        ("DebugIdentityV2", {"debug_urls": "grpc://host:1"}, True),
        ("FixedUnigramCandidateSampler", {"vocab_file": ""}, False),
        ("FixedUnigramCandidateSampler", {"vocab_file": "/etc/passwd"}, True),
        ("DecodeProtoV2", {"descriptor_source": "local://"}, False),
        ("DecodeProtoV2", {"descriptor_source": "bytes://abc"}, False),
        ("DecodeProtoV2", {"descriptor_source": "/etc/passwd"}, True),
    ],
)
def test_some_ops_are_judged_by_an_attribute(op: str, texts: dict[str, str], harmful: bool) -> None:
    """A print to the terminal is ordinary, one to a file is not."""
    made = meta_graph(X, node("y", op, "x", **texts), signatures=[SERVE])
    assert words(made) == (["unsafe_op"] if harmful else [])


def test_an_op_of_a_library_needs_its_code() -> None:
    """It is named once, however often it is there, and nobody is blamed."""
    nodes = [node(f"n{i}", "SentencepieceOp") for i in range(3)]
    (finding,) = found(meta_graph(X, Y, *nodes, signatures=[SERVE]))
    assert (finding.word, finding.what) == ("needs_code", "SentencepieceOp")
    assert "allow_code" in finding.message


def test_an_op_that_may_be_a_newer_tensorflows_is_left_to_load() -> None:
    """Nobody here can know; a call of a function by its name is no op."""
    assert words(meta_graph(node("n", "BrandNewOp"), version="2.22.0")) == []
    called = meta_graph(node("n", "my_function"), functions=[function("my_function")])
    assert words(called) == []
    assert words(meta_graph(node("n", "BrandNewOp"), version="")) == ["needs_code"]


def saved(path: Path, graph: bytes) -> Path:
    """Write a SavedModel with one graph."""
    bundle(path / "variables" / "variables")
    (path / "saved_model.pb").write_bytes(field(1, 1) + field(2, graph))
    return path


def test_the_scan_reports_an_asset_that_leads_out(tmp_path: Path) -> None:
    """It is no file that is missing: the name is what is wrong."""
    path = saved(tmp_path, meta_graph(X, Y, assets=[asset("x:0", "../../x")], signatures=[SERVE]))
    result = scanned(path)
    assert result.reasons == ["safety.traversal"]
    assert result.checks["finite"].outcome is Outcome.SKIP


@pytest.mark.parametrize(
    "broken",
    [
        field(1, b"\x0a\x7f"),
        field(1, b"\x0b\x0c"),
        field(2, field(1, function("f")) * 2),
        field(2, field(1, function(""))),
    ],
)
def test_a_graph_that_cannot_be_looked_through_is_malformed(tmp_path: Path, broken: bytes) -> None:
    """The file is whole, so nobody waits for more of it."""
    result = scanned(saved(tmp_path, meta_graph(X) + field(2, broken)))
    assert (result.end, result.reasons) == (End.DONE, ["structure.malformed"])


def test_switching_the_check_off_lets_it_pass(tmp_path: Path) -> None:
    """The user's word is the last one."""
    path = saved(tmp_path, meta_graph(X, WRITE, node("y", "Identity", "w"), signatures=[SERVE]))
    assert scanned(path).reasons == ["safety.unsafe_op"]
    assert scanned(path, skip=("safety",)).reasons == []
    assert scanned(path, allow_code=True).reasons == ["safety.unsafe_op"]
    custom = saved(tmp_path / "custom", meta_graph(node("n", "MyOp")))
    assert scanned(custom).reasons == ["safety.needs_code"]
    assert scanned(custom, allow_code=True).clean


def test_a_name_of_a_node_that_leads_out_is_found() -> None:
    """Somebody may make a path of it."""
    assert words(meta_graph(node("../x", "NoOp"))) == ["traversal"]
    assert words(meta_graph(node("a..b/x", "NoOp"))) == []


def test_the_gradient_of_a_function_is_run_as_well() -> None:
    """By an op that names the function alone."""
    made = meta_graph(X, CALL, functions=[function("f")], signatures=[SERVE])
    restore = function("g", node("r", "RestoreV2", "a", "b", "c"), arguments=["a"])
    library = field(1, restore) + field(2, field(1, "f") + field(2, "g"))
    made += field(2, field(2, library))
    assert "signature serving_default → function f" not in found(made)[0].message
    assert "signature serving_default → function g" in found(made)[0].message


def test_a_graph_that_comes_in_pieces_is_one() -> None:
    """Protobuf puts a message together that comes twice; so must whoever looks for harm."""
    halves = field(
        5, field(1, "f") + field(2, field(1, b"")) + field(2, field(1, field(9, field(1, "g"))))
    )
    call = field(1, "y") + field(2, "Case") + halves
    two = meta_graph(X, functions=[function("g", READ, arguments=["x"])], signatures=[SERVE])
    two += field(2, field(1, call))
    assert "signature serving_default → function g" in found(two)[0].message


def test_a_large_node_hides_nothing() -> None:
    """Whatever else is large, the function that it calls is seen."""
    called = field(1, "g") + field(2, field(1, "pad") + field(2, field(2, "x" * 100_000)))
    call = node("y", "Case", "x") + field(5, field(1, "f") + field(2, field(10, called)))
    made = meta_graph(X, call, functions=[function("g", READ)], signatures=[SERVE])
    assert "signature serving_default → function g" in found(made)[0].message


def test_what_a_large_constant_holds_is_counted_and_not_kept() -> None:
    """A node of megabytes is walked over; what it calls is known all the same."""
    big = constant("c", shaped(1, 1 << 18) + field(4, b"\1" * (1 << 20)))
    big += field(5, field(1, "f") + field(2, field(10, field(1, "g"))))
    (read,) = parsed(meta_graph(big)).nodes
    assert read.constant is not None
    assert (read.constant.dtype, read.constant.shape) == ("float32", (1 << 18,))
    assert read.constant.stored == 1 << 20
    assert (read.name, read.op, read.called) == ("c", "Const", ("g",))
