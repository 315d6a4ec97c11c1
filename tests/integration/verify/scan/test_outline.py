"""What `inspect` lists of a SavedModel, against what `saved_model_cli` reads of the same file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import tensorflow as tf
from tensorflow.python.framework.meta_graph import stripped_op_list_for_graph
from tensorflow.python.tools import saved_model_utils

from checkpointd.core.format_specs import Format
from checkpointd.verify.scan.inspect import inspect

if TYPE_CHECKING:
    from pathlib import Path


class Model(tf.Module):
    """Two ways to call one function, values among the arguments, and a function of another name."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = tf.Variable(2.0)

    @tf.function
    def scale(self, x: tf.Tensor, by: float = 1.5, *, flags: object = None) -> tf.Tensor:
        """Depends on a Python value too."""
        return tf.nn.relu(x) * self.weight * by if flags is None else x

    @tf.function(input_signature=[{"a": tf.TensorSpec([], tf.int64, "a")}])
    def total(self, named: dict[str, tf.Tensor]) -> tf.Tensor:
        """Takes a dictionary."""
        return named["a"] + 1


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SavedModel of it."""
    path = tmp_path_factory.mktemp("outline") / "model"
    model = Model()
    first = model.scale.get_concrete_function(tf.TensorSpec([None, 4], tf.float32, "x"))
    model.scale.get_concrete_function(tf.TensorSpec(None, tf.float32, "x"), -3, flags=("a", True))
    tf.saved_model.save(model, str(path), signatures={"serve_it": first})
    return path


def test_what_is_listed_is_what_tensorflow_reads(saved: Path) -> None:
    """Tags, methods, tensors and ops of each graph."""
    (graph,) = inspect(str(saved), Format.SAVEDMODEL)["graphs"]
    (theirs,) = saved_model_utils.read_saved_model(str(saved)).meta_graphs
    signature = theirs.signature_def["serve_it"]
    assert graph["tags"] == list(theirs.meta_info_def.tags) == ["serve"]
    assert graph["methods"] == {"serve_it": signature.method_name}
    assert graph["tensors"]["serve_it"] == {
        "inputs": {key: info.name for key, info in signature.inputs.items()},
        "outputs": {key: info.name for key, info in signature.outputs.items()},
    }
    ops = {op.name for op in stripped_op_list_for_graph(theirs.graph_def).op}
    assert ops <= set(graph["ops"])
    assert "Relu" in graph["ops"]
    assert not any(op.startswith("__inference") for op in graph["ops"])


def test_functions_are_listed_with_the_arguments_of_each_way_to_call_them(saved: Path) -> None:
    """Values as Python writes them, tensors with dtype and shape; an open rank has no shape."""
    (graph,) = inspect(str(saved), Format.SAVEDMODEL)["graphs"]
    functions = {name: sorted(options) for name, options in graph["functions"].items()}
    assert set(functions) == {"scale", "total"}
    assert functions["total"] == [["{a: named/a: int64[]}"]] or functions["total"] == [
        ["{a: a: int64[]}"]
    ]
    texts = [", ".join(option) for option in functions["scale"]]
    assert any(text.startswith("x: float32[?, 4], 1.5") for text in texts), texts
    assert any("x: float32, -3" in text and "['a', True]" in text for text in texts), texts


def test_a_text_graph_has_no_outline(saved: Path, tmp_path: Path) -> None:
    """Only the signatures are read of it."""
    from google.protobuf import text_format

    model = saved_model_utils.read_saved_model(str(saved))
    (tmp_path / "saved_model.pbtxt").write_text(text_format.MessageToString(model))
    facts = inspect(str(tmp_path), Format.SAVEDMODEL)
    assert facts["graphs"] == []
