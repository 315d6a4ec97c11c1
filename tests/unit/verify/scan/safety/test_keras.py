"""Keras configurations: what is found in them and where, and what ordinary ones never do."""

from __future__ import annotations

import json
from typing import Any

import pytest

from checkpointd.core.verify_settings import VerifySettings
from checkpointd.verify.scan.safety.check import judge as grade
from checkpointd.verify.scan.safety.keras import judge

BYTECODE = "4wEAAAAAAAAAAAAAAAEAAAAEAAAAQwAAAHMI" + "A" * 80


def layer(kind: str, module: str | None = "keras.layers", **config: Any) -> dict[str, Any]:
    """The configuration of one layer; Keras 2 names no module."""
    return {"class_name": kind, "config": config, **({"module": module} if module else {})}


def function(module: str, name: str) -> dict[str, Any]:
    """What names a function."""
    return {
        "class_name": "function",
        "config": name,
        "module": module,
        "registered_name": "function",
    }


def model(*layers: Any) -> dict[str, Any]:
    """A model of layers."""
    return layer("Functional", "keras", name="model", layers=list(layers))


def found(config: Any, **settings: Any) -> list[tuple[str, str]]:
    """The word and the place of every finding."""
    return [(f.word, f.where) for f in judge(config, VerifySettings(**settings))]


STORED = layer("Lambda", name="lambda_1", function=[BYTECODE, None, None])
STORED_3 = layer(
    "Lambda",
    name="lambda_1",
    function={"class_name": "__lambda__", "config": {"code": BYTECODE}},
)


@pytest.mark.parametrize("stored", [STORED, STORED_3], ids=["Keras 2", "Keras 3"])
@pytest.mark.parametrize(
    ("wrapped", "where"),
    [
        (model, "model/lambda_1"),
        (lambda it: model(layer("TimeDistributed", name="td", layer=it)), "model/td/lambda_1"),
        (
            lambda it: model(layer("Sequential", "keras", name="inner", layers=[it])),
            "model/inner/lambda_1",
        ),
        (
            lambda it: model(layer("Mine", "mine", name="own", kept=json.dumps({"a": [it]}))),
            "model/own/lambda_1",
        ),
        (lambda it: {**model(), "compile_config": {"loss": it}}, "model/compile/lambda_1"),
    ],
    ids=["plain", "wrapped", "nested", "in a text", "compiled"],
)
def test_stored_code_is_found_at_any_depth(stored: Any, wrapped: Any, where: str) -> None:
    """Once, with the path of the layers that it lies in."""
    assert found(wrapped(stored)) == [("needs_code", where)]


@pytest.mark.parametrize(
    ("part", "value"),
    [("output_shape", [BYTECODE, None, None]), ("mask", [BYTECODE, None, None])],
)
def test_a_lambda_keeps_code_in_more_than_its_function(part: str, value: Any) -> None:
    """The function is only named; its output shape or its mask are bytecode."""
    named = {"function": "mine", "function_type": "function"}
    assert found(layer("Lambda", None, **named)) == []
    stored = layer("Lambda", None, **named, **{part: value, f"{part}_type": "lambda"})
    assert found(stored) == [("needs_code", "Lambda")]


def test_bytecode_in_any_layer_is_code() -> None:
    """A class of the user's own that keeps a function as Keras's Lambda does."""
    assert found(layer("Mine", "mine", name="x", fn=[BYTECODE, None, None]))[0][0] == "needs_code"
    assert found(layer("Dense", name="x", note="4wEAAAA is how it begins")) == []


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("builtins", "eval"),
        ("builtins", "exec"),
        ("os", "system"),
        ("subprocess", "check_output"),
        ("keras.utils", "get_file"),
        ("keras.src.utils.file_utils", "get_file"),
        ("keras.config", "enable_unsafe_deserialization"),
        ("keras.models", "load_model"),
        ("keras.saving", "load_model"),
        ("keras.saving", "deserialize_keras_object"),
        ("tf_keras.src.layers.core.lambda_layer", "np.load"),
        ("keras.layers", "sys.exit"),
        ("keras.applications", "ResNet50"),
        ("tensorflow.python.ops.io_ops", "write_file"),
        ("tensorflow.io", "read_file"),
        ("torch", "load"),
        ("numpy", "load"),
        ("joblib", "load"),
        ("pickle", "loads"),
    ],
)
def test_a_function_that_no_model_is_made_of_is_code(module: str, name: str) -> None:
    """In whichever form it is named, with allow_code too; unless the user configured the name."""
    call = function(module, name)
    (finding,) = judge(model(layer("Lambda", name="l", function=call)), VerifySettings())
    assert (finding.word, finding.where) == ("code", "model/l")
    assert f"{module}.{name}" in finding.message
    assert grade([finding], allow_code=True).reason == "safety.code"
    as_class = {"class_name": name, "module": module, "config": {}, "registered_name": None}
    hidden = {"class_name": "X", "module": module, "config": {}, "registered_name": name}
    assert {word for word, _ in found([as_class, hidden])} == {"code"}
    assert found(call, custom_objects={name: "mine:fn"}) == []


def test_what_unpickles_is_code() -> None:
    """Keras under PyTorch keeps a pickled module."""
    assert found(layer("TorchModuleWrapper", name="t", module="gASV")) == [("code", "t")]


@pytest.mark.parametrize(
    ("config", "read"),
    [
        (layer("TFSMLayer", name="x", filepath="/srv/m"), "'/srv/m'"),
        (layer("TFSMLayer", name="x", filepath="https://a.b/m"), "https://a.b/m"),
        (layer("StringLookup", name="x", vocabulary="/etc/passwd"), "vocabulary"),
        (layer("IntegerLookup", None, name="x", vocabulary="gs://b/v.txt"), "gs://b/v.txt"),
        (layer("TextVectorization", None, name="x", idf_weights="/x.npy"), "idf_weights"),
        (layer("Tokenizer", "keras_hub.src.models", name="x", merges="/m.txt"), "merges"),
        (layer("Custom>StringLookup", None, name="x", vocabulary="words.txt"), "words.txt"),
    ],
)
def test_what_a_layer_reads_from_elsewhere_is_a_foreign_reference(config: Any, read: str) -> None:
    """A saved model, a vocabulary or weights that are paths or URLs."""
    findings = list(judge(model(config), VerifySettings()))
    assert [(f.word, f.where, f.in_weights) for f in findings] == [
        ("foreign_reference", "model/x", False)
    ]
    assert read in findings[0].message


def test_the_name_of_a_custom_object_hides_no_layer_that_reads() -> None:
    """Keras looks for `class_name` where the file is an HDF5 one, whatever is registered."""
    own = {"custom_objects": {"Mine": "mine:Mine"}}
    for kind, config in (
        ("StringLookup", {"vocabulary": "/etc/passwd"}),
        ("TFSMLayer", {"filepath": "/srv/m"}),
        ("TFOpLambda", {"function": "io.write_file"}),
    ):
        hidden = {**layer(kind, None, name="x", **config), "registered_name": "Mine"}
        assert [where for _, where in found(hidden, **own)] == ["x"]
    assert found({**layer("X", "os", name="x"), "registered_name": "Mine"}, **own) == []


@pytest.mark.parametrize("name", ["../../x", "a/../b", "/etc/x", "a\\b", "a\0b", ".."])
def test_a_layer_name_that_climbs_is_a_traversal(name: str) -> None:
    """Keras makes a directory of it when it unpacks."""
    ((word, _),) = found(model(layer("Dense", name=name)))
    assert word == "traversal"


@pytest.mark.parametrize(
    "config",
    [
        layer("TFOpLambda", None, name="x", function="io.write_file"),
        layer("TFOpLambda", None, name="x", function="keras.utils.get_file"),
        layer("TFOpLambda", None, name="x", function="io.gfile.remove"),
        layer("TFOpLambda", None, name="x", function="raw_ops.ReadFile"),
        layer("TFOpLambda", None, name="x", function="load_op_library"),
        layer("TFOpLambda", None, name="x", function="experimental.register_filesystem_plugin"),
        layer(
            "TFOpLambda", None, name="x", function="quantization.experimental.quantize_saved_model"
        ),
        layer("TFOpLambda", None, name="x", function="mlir.experimental.convert_saved_model"),
        layer("TFOpLambda", None, name="x", function="experimental.dtensor.name_based_save"),
        layer("TFOpLambda", None, name="x", function="keras.layers.StringLookup"),
        layer("TFOpLambda", None, name="x", function="raw_ops.Skipgram"),
        layer("TFOpLambda", None, name="x", function="record_input"),
        layer("TensorFlowOpLayer", None, name="x", node_def={"op": "ImmutableConst"}),
        {**layer("Op", None, name="x", function="io.write_file"), "registered_name": "TFOpLambda"},
        layer("ClassMethod", None, name="x", cls_symbol="io.TFRecordWriter", method_name="write"),
        layer("TensorFlowOpLayer", None, name="x", node_def={"op": "WriteFile"}),
        layer("TensorFlowOpLayer", None, name="x", node_def="\n\x01x\x12\tWriteFile"),
        {
            **layer("TFOpLambda", None, name="x", function="print"),
            "inbound_nodes": [[["a", 0, 0, {"output_stream": "file:///tmp/x"}]]],
        },
    ],
)
def test_an_op_layer_of_keras_2_that_does_more_than_compute_is_code(config: Any) -> None:
    """They call any symbol or op of TensorFlow by its name."""
    assert found(config) == [("code", "x")]


ORDINARY = [
    layer("Dense", name="block1/dense.x", activation="relu"),
    layer("LayerScale", "keras.src.applications.convnext", name="stage_0/scale"),
    {
        **layer("CustomScaleLayer", "tf_keras.src.applications.inception_resnet_v2", name="s"),
        "registered_name": "Custom>CustomScaleLayer",
    },
    layer("Constant", "tensorflow.python.ops.init_ops_v2", value=0.1),
    layer("FeatureSpace", "keras.utils", name="space"),
    layer("Adam", "keras.src.optimizers.adam"),
    layer("Adam", "keras.optimizers.legacy"),
    layer("Policy", "keras.mixed_precision", name="mixed_float16"),
    layer("Functional", "keras.src.engine.functional"),
    layer("Dense", "tensorflow.python.keras.layers.core"),
    layer("GetItem", "keras.src.ops.numpy", name="get_item"),
    layer("TFOpLambda", None, name="tf.math.add", function="math.add"),
    layer("TFOpLambda", None, name="x", function="io.decode_png"),
    layer("TFOpLambda", None, name="x", function="experimental.numpy.copy"),
    layer("TFOpLambda", None, name="x", function="keras.backend.rnn"),
    layer("TFOpLambda", None, name="x", function="quantization.fake_quant_with_min_max_vars"),
    layer("TFOpLambda", None, name="x", function="compat.v1.nn.embedding_lookup"),
    layer("SlicingOpLambda", None, name="x", function="__operators__.getitem"),
    layer("TensorFlowOpLayer", None, name="x", node_def={"op": "AddV2"}),
    layer("TensorFlowOpLayer", None, name="x", node_def="\n\x06Reader\x12\x05AddV2"),
    layer("Lambda", name="l", function={"class_name": "Scale", "module": "mine", "config": {}}),
    layer("StringLookup", name="x", vocabulary=["[UNK]", "{", "../x", "/etc/passwd"]),
    layer("Mine", "mine.layers", name="x", vocabulary="abcdef", path="/data"),
    layer("Mine", "__main__", name="x"),
    layer("Mine", "statistics", name="x"),
    {"class_name": "__tuple__", "items": [1, 2]},
    {
        "class_name": "__typespec__",
        "spec_name": "RaggedTensorSpec",
        "module": "tensorflow.python.ops.ragged.ragged_tensor",
        "config": [],
        "registered_name": None,
    },
    function("keras.src.activations.activations", "relu"),
    function("builtins", "my_loss"),
    function("keras.ops", "mean"),
    function("tensorflow.python.ops.nn_ops", "relu_v2"),
    layer("Lambda", name="l", function=function("mine", "swoosh")),
]


@pytest.mark.parametrize("config", ORDINARY, ids=lambda c: f"{c.get('module')}.{c['class_name']}")
def test_what_ordinary_models_hold_is_never_found(config: Any) -> None:
    """Keras's own in every version's modules; and the user's own is `load`'s business."""
    assert found(model(config, layer("TimeDistributed", name="t", layer=config))) == []


def test_a_finding_is_graded_by_its_word() -> None:
    """The gravest gives the reason, each place is in the details, code alone may be allowed."""
    findings = list(judge(model(STORED, layer("Dense", name="../x")), VerifySettings()))
    result = grade(findings, allow_code=False)
    assert result.reason == "safety.traversal"
    assert [f["where"] for f in result.details["findings"]] == ["model/../x", "model/lambda_1"]
    assert grade(findings[:0], allow_code=False).reason == ""
    code = [f for f in findings if f.word == "needs_code"]
    assert grade(code, allow_code=False).reason == "safety.needs_code"
    assert grade(code, allow_code=True).reason == ""


@pytest.mark.parametrize("config", [None, 7, "", "text", [], {}, [None], "[{"])
def test_what_is_no_configuration_holds_nothing(config: Any) -> None:
    """A file of weights has none."""
    assert found(config) == []


def test_many_findings_do_not_hide_a_graver_one() -> None:
    """Three hundred Lambda layers, which may be allowed, and a call at the end."""
    many = [layer("Lambda", name=f"l{i}", function=[BYTECODE, None, None]) for i in range(300)]
    call = layer("Dense", name="last", activation=function("os", "system"))
    findings = list(judge(model(*many, call), VerifySettings()))
    assert len(findings) < 300
    assert findings[0].where == "model/l0"
    assert grade(findings, allow_code=True).reason == "safety.code"


def test_a_configuration_nested_without_end_is_walked_without_recursion() -> None:
    """Twenty thousand layers in each other: the path in the message stays short."""
    config: Any = STORED
    for number in range(20_000):
        config = layer("Sequential", "keras", name=f"layer_{number}", layers=[config])
    ((word, where),) = found(config)
    assert word == "needs_code"
    assert where.endswith("lambda_1")
    assert len(where) < 300


def test_what_is_no_text_where_a_text_belongs_is_not_shown_whole() -> None:
    """A name, a class or a path that is a structure without end ends no check."""
    endless: Any = []
    for _ in range(50_000):
        endless = [endless]
    odd = layer("Dense", name=endless, vocabulary=endless)
    assert found({**odd, "class_name": endless, "module": endless}) == []
    assert found(layer("TFSMLayer", name="x", filepath=endless)) == [("foreign_reference", "x")]
