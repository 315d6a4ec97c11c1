"""`saved_model.pbtxt`: read as TensorFlow reads it, or not at all."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from checkpointd.verify.scan.saved_model.meta_graph import read_graphs
from checkpointd.verify.scan.saved_model.text import CutShortError, NotParsedError, encode
from tests.helpers.bundles import bundle
from tests.helpers.scan import scanned

if TYPE_CHECKING:
    from pathlib import Path

    from checkpointd.verify.scan.saved_model.meta_graph import MetaGraph

WRITE = """
saved_model_schema_version: 1
meta_graphs {
  meta_info_def { tags: "serve" tensorflow_version: "2.21.0" stripped_default_attrs: true }
  graph_def {
    node { name: "x" op: "Placeholder" attr { key: "dtype" value { type: DT_FLOAT } } }
    node { name: "y" op: "%s" input: "x" input: "x" }
    versions { producer: 1987 bad_consumers: [1, 2] }
  }
  signature_def {
    key: "serving_default"
    value { outputs { key: "y" value { name: "y:0" dtype: DT_FLOAT } } }
  }
}
"""


def read(text: str) -> MetaGraph:
    """Read the one graph of a text."""
    data = encode(text.encode())
    return read_graphs(lambda offset, size: data[offset : offset + size], len(data))[0]


def read_nodes(text: str) -> list[tuple[str, str]]:
    """The names and ops of the nodes in a GraphDef's text."""
    return [(n.name, n.op) for n in read(f"meta_graphs {{ graph_def {{ {text} }} }}").nodes]


@pytest.mark.parametrize(("op", "reasons"), [("WriteFile", ["safety.unsafe_op"]), ("Mul", [])])
def test_a_graph_as_text_is_looked_through(tmp_path: Path, op: str, reasons: list[str]) -> None:
    """TensorFlow loads it, and other scanners skip it."""
    bundle(tmp_path / "variables" / "variables")
    (tmp_path / "saved_model.pbtxt").write_text(WRITE % op)
    result = scanned(tmp_path)
    assert result.reasons == reasons
    assert result.clean is not reasons


def test_what_cannot_be_read_with_certainty_needs_trust(tmp_path: Path) -> None:
    """It is a warning that explains what to do."""
    bundle(tmp_path / "variables" / "variables")
    (tmp_path / "saved_model.pbtxt").write_text("meta_graphs { graph_def: 5 }")
    result = scanned(tmp_path)
    assert result.reasons == ["safety.needs_code"]
    assert "write the graph as saved_model.pb" in result.checks["safety"].message


def test_a_graph_in_the_image_format_beside_another_needs_trust(tmp_path: Path) -> None:
    """Which of the two is loaded depends on who loads it."""
    bundle(tmp_path / "variables" / "variables")
    (tmp_path / "saved_model.pbtxt").write_text(WRITE % "Mul")
    (tmp_path / "saved_model.cpb").write_bytes(b"riegeli")
    assert scanned(tmp_path).reasons == ["safety.needs_code"]


@pytest.mark.parametrize(
    "text",
    [
        'node { name: "a" op: "B" }',
        "node: < name: 'a'; op: 'B', >",
        'node [ { name: "a" op: "B" } ]',
        'node { name: "a" op: "\\102" }',
        'node { name: "\\x61" op: "B" } # node { name: "c" }\n',
        'node { name: "" "a" \'\' op: "B" device: "" }',
        'node { name: "a" op: "B" input: ["x", "y"] device: "/cpu:0" }',
    ],
)
def test_the_forms_of_a_text_mean_the_same(text: str) -> None:
    """Brackets, separators, quotes, escapes, comments, lists."""
    assert read_nodes(text) == [("a", "B")]


@pytest.mark.parametrize(
    "text",
    [
        "node { name: 5 }",
        'node { name: "a }',
        'node { name: "a"',
        'node { name: "a" > }',
        'node { "name": "a" }',
        'node { name: "a" } }',
        'node: "a"',
        "node { attr { value { tensor { dtype: DT_OF_MY_OWN } } } }",
        'node { name: "\\U00110000" }',
        "node { x { } ] }",
        "node { x: }",
        "node { @ }",
        "node { " + " #" * 50_000 + "\n" * 50_000 + "@ }",
        "node {" + "attr { value { func {" * 400 + "}}}" * 400 + "}",
        'node { name: "a" name: "b" }',
        'node { name: "a" unknown: 1 }',
        "node { x: [" + "1," * 100_000 + "1] }",
    ],
)
def test_what_is_not_understood_is_refused(text: str) -> None:
    """Rather than guessed: another reader may guess otherwise."""
    with pytest.raises(NotParsedError):
        read_nodes(text)


@pytest.mark.parametrize("end", ["node {", 'node { name: "a', 'node { name: "}" # }\n'])
def test_a_text_that_ends_within_a_message_is_cut_short(end: str) -> None:
    """Its writer may be at work; brackets in strings and comments close nothing."""
    with pytest.raises(CutShortError):
        encode(f"meta_graphs {{ graph_def {{ {end}".encode())


WITHOUT_TENSORFLOW = """
import sys
from checkpointd.verify.scan.saved_model.text import encode

assert encode(b"meta_graphs { graph_def { } }") == b"\\x12\\x02\\x12\\x00"
assert not [name for name in sys.modules if name.partition(".")[0] == "tensorflow"]
assert "libtensorflow" not in open("/proc/self/maps").read()
"""


def test_nothing_of_tensorflow_runs() -> None:
    """Its message classes alone are imported, and a user's check may import the real package."""
    subprocess.run([sys.executable, "-c", WITHOUT_TENSORFLOW], check=True)


def test_without_tensorflow_a_text_is_not_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sentence names what is missing."""
    monkeypatch.setitem(sys.modules, "google.protobuf", None)
    with pytest.raises(NotParsedError, match=r"cannot be imported: .*google"):
        encode(b"meta_graphs { }")


def test_constants_assets_and_objects_are_read() -> None:
    """All that the rules about paths rest on."""
    graph = read("""
    meta_graphs {
      graph_def {
        node { name: "c" op: "Const" attr { key: "value" value { tensor {
          dtype: DT_STRING tensor_shape { } string_val: "/etc/passwd" } } } }
        node { name: "s" op: "Const" attr { key: "value" value { tensor {
          dtype: DT_INT32 tensor_shape { dim { size: 2 } } int_val: -1 int_val: 0x10 } } } }
        library { function { signature { name: "f" input_arg { name: "a" type: DT_FLOAT } }
          node_def { name: "n" op: "NoOp" } ret { key: "r" value: "a" } } }
      }
      saver_def { filename_tensor_name: "p:0" version: V2 }
      collection_def { key: "legacy_init_op" value { node_list { value: "init" } } }
      collection_def { key: "saved_model_assets" value { any_list { value {
        [type.googleapis.com/tensorflow.AssetFileDef] {
          tensor_info { name: "c:0" } filename: "v.txt" } } } } }
      asset_file_def { tensor_info { name: "d:0" } filename: "w.txt" }
      object_graph_def {
        nodes { user_object { identifier: "_generic_user_object" } }
        nodes { asset { asset_file_def_index: 0 } }
        nodes { constant { operation: "c" } }
        concrete_functions { key: "f" value { bound_inputs: [1, 2] } }
      }
    }""")
    first, second = (node.constant for node in graph.nodes)
    assert first is not None
    assert second is not None
    assert first.strings == (b"/etc/passwd",)
    assert (second.shape, second.numbers) == ((2,), (-1, 16))
    assert (graph.functions["f"].arguments, graph.filename) == (("a",), "p:0")
    assert graph.initial == {"the collection legacy_init_op": ["init"]}
    assert graph.assets == [("c:0", "v.txt"), ("d:0", "w.txt")]
    objects = graph.objects
    assert (objects.assets, objects.constants) == ({1}, {2: "c"})
    assert objects.functions == {"f": (1, 2)}


@pytest.mark.parametrize(
    ("content", "reason", "expected"),
    [
        (b'item { id: 1 name: "cat" }\n', "structure.not_a_checkpoint", "label map"),
        (b'item { id: 1 name: "caf\xe9" }\n', "structure.not_a_checkpoint", "label map"),
        (b"model { ssd { num_classes: 90 } }\n", "structure.not_a_checkpoint", "pipeline"),
        (b'node { name: "x" op: "NoOp" }\n', "structure.not_a_checkpoint", "GraphDef"),
        (b"\x08\x01\x12\x00\x00\x01", "structure.not_a_checkpoint", "saved_model.pb"),
        (b"<html><body></body></html>", "structure.not_a_checkpoint", "no text of a protocol"),
        (b"colour: 5\n", "structure.not_a_checkpoint", "no field 'colour'"),
        (b'meta_graphs { meta_info_def { tags: "serve" }', "structure.truncated", "cut short"),
        (b"saved_model_schema_version: 1\n", "structure.malformed", "no graph"),
    ],
)
def test_another_text_under_its_name_is_named(
    tmp_path: Path, content: bytes, reason: str, expected: str
) -> None:
    """A label map, a pipeline's configuration, a binary file: no loader takes it."""
    (tmp_path / "saved_model.pbtxt").write_bytes(content)
    result = scanned(tmp_path)
    assert result.reasons == [reason]
    assert expected in result.checks["structure"].message


def test_what_a_text_names_has_to_be_there(tmp_path: Path) -> None:
    """Variables and assets, as for a binary graph; and its signatures are known."""
    text = WRITE % "Mul"
    assets = 'asset_file_def { tensor_info { name: "x:0" } filename: "words.txt" }'
    saver = 'saver_def { filename_tensor_name: "x:0" restore_op_name: "y" }'
    file = tmp_path / "saved_model.pbtxt"
    for part in (assets, saver):
        file.write_text(text.replace("  graph_def", f"  {part}\n  graph_def"))
        assert scanned(tmp_path).reasons == ["structure.missing_member"]
    file.write_text(text + "# written by hand\n")
    result = scanned(tmp_path)
    assert result.reasons == []
    assert result.facts.signatures["serving_default"]["outputs"] == [["y", "float32", None]]
    assert result.facts.writer == "tensorflow 2.21.0"
