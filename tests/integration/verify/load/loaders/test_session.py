"""SavedModels that TensorFlow 2's loader does not take, and what no loader takes."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from checkpointd import golden
from checkpointd.core.check_result import CheckResult, Outcome
from checkpointd.core.format_specs import Format
from tests.helpers import sessions
from tests.helpers.load import load, verify

tf = pytest.importorskip("tensorflow")

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path


def rewritten(source: Path, path: Path, change: Callable[[Any], None]) -> Path:
    """A copy of a SavedModel whose proto was changed."""
    from tensorflow.core.protobuf import saved_model_pb2

    shutil.copytree(source, path)
    file = path / "saved_model.pb"
    proto = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    change(proto)
    file.write_bytes(proto.SerializeToString())
    return path


def loader_of(results: Mapping[str, CheckResult]) -> tuple[str, list[str]]:
    """The loader that took it, and the tags of the graph."""
    details = results["load"].details
    return str(details["loader"]), list(details["tags"])


@pytest.mark.parametrize(
    ("build", "ran"),
    [
        (sessions.counter, {"add", "look"}),
        (sessions.doubled, {"serving_default"}),
        (sessions.illegal, {"serving_default"}),
    ],
)
@pytest.mark.parametrize("text", [False, True])
def test_what_a_session_loads_is_run_in_it(
    tmp_path: Path, build: sessions.Graph, ran: set[str], *, text: bool
) -> None:
    """Reference variables, doubled inputs, names that Python does not know: binary and text."""
    path = sessions.write(tmp_path / "1", build, text=text)
    results, facts = verify(str(path))
    assert loader_of(results) == ("saved_model_v1", ["serve"])
    assert "tf.saved_model.load fails with" in results["load"].message
    assert set(results["inference"].details["ran"]) == ran
    assert set(facts.signatures) == ran


def test_of_several_graphs_the_served_one_is_taken(tmp_path: Path) -> None:
    """And another where there is none, as TFMA writes an `eval` graph alone."""
    tags = [("train",), ("gpu", "serve"), ("serve",)]
    served = sessions.write(tmp_path / "1", sessions.doubled, tags)
    assert loader_of(load(str(served), "savedmodel")[0]) == ("saved_model_v1", ["serve"])
    others = sessions.write(tmp_path / "2", sessions.illegal, [("train",), ("eval",)])
    results, _ = load(str(others), "savedmodel")
    assert loader_of(results) == ("saved_model_v1", ["eval"])
    assert results["inference"].outcome is Outcome.PASS


def test_tensorflow_2_comes_first(tmp_path: Path) -> None:
    """What both loaders take is loaded as TensorFlow 2 does it, with the tags that it has."""

    def build(v1: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        x = v1.placeholder("float32", [None, 2], "x")
        return {"serving_default": sessions.signature({"x": x}, {"y": x * 2.0})}, {}

    path = sessions.write(tmp_path / "1", build, [("train",), ("serve",)])
    results, _ = load(str(path), "savedmodel")
    assert loader_of(results) == ("saved_model", ["serve"])


def test_a_run_leaves_a_session_as_it_was(tmp_path: Path) -> None:
    """A signature that counts gives the same the second time, after the check has run it."""
    path = sessions.write(tmp_path / "1", sessions.counter)
    from checkpointd.verify.load.loaders import session

    loaded = session.load_graph(str(path))
    for _ in range(2):
        with loaded.unchanged():
            assert loaded.signatures["add"].run({})["now"] == 1.0
            assert loaded.signatures["add"].run({})["now"] == 2.0
    before = loaded.model.session
    with loaded.unchanged():
        assert loaded.signatures["look"].run({})["now"] == 0.0
    assert loaded.model.session is before, "nothing had changed"


def test_a_golden_record_is_replayed_in_a_session(tmp_path: Path) -> None:
    """And a prediction that is not the original's is found there."""
    path = sessions.write(tmp_path / "1", sessions.doubled)
    (path / "assets.extra").mkdir()
    inputs = np.array([[1.0, 2.0]], np.float32)
    for factor, outcome in ((2.0, Outcome.PASS), (3.0, Outcome.FAIL)):
        record = golden.Golden(
            inputs={"a": inputs, "b": inputs},
            outputs={"y": inputs * factor},
            input_structure=golden.DICT,
            binding=golden.binding_of(str(path), Format.SAVEDMODEL),
        )
        golden.write(golden.path_for(str(path), Format.SAVEDMODEL), record)
        results, _ = load(str(path), "savedmodel")
        assert results["predictions"].outcome is outcome, results["predictions"].message


def test_sparse_inputs_and_outputs_are_taken_in_parts(tmp_path: Path) -> None:
    """They have the names that TensorFlow 2 gives to the parts."""

    def build(v1: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        x = v1.sparse_placeholder("float32", [None, 3], "x")
        y = v1.placeholder("float32", [None], "y")
        names = {"x": x, "y": y, "again": y}
        return {"serving_default": sessions.signature(names, {"same": x, "y": y})}, {}

    path = sessions.write(tmp_path / "1", build)
    results, facts = load(str(path), "savedmodel")
    inputs = [name for name, _, _ in facts.signatures["serving_default"]["inputs"]]
    assert inputs == ["again", "x_indices", "x_values", "x_dense_shape", "y"]
    assert results["load"].outcome is Outcome.PASS


def table(*, initialised: bool) -> sessions.Graph:
    """A lookup table that an init op fills, or nothing."""

    def build(v1: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        words = tf.lookup.KeyValueTensorInitializer(["a"], tf.constant([1], tf.int64))
        found = tf.lookup.StaticHashTable(words, -1)
        x = v1.placeholder("string", [2], "x")
        names = {"a": x, "b": x}
        signatures = {"serving_default": sessions.signature(names, {"y": found.lookup(x)})}
        return signatures, {"main_op": v1.tables_initializer()} if initialised else {}

    return build


def test_the_init_op_is_run_and_what_lacks_one_fails(tmp_path: Path) -> None:
    """A table that nothing fills is seen as TensorFlow Serving sees it."""
    from checkpointd.verify.load.loaders import session

    words = np.array([b"a", b"b"], object)
    for initialised in (True, False):
        path = sessions.write(tmp_path / str(initialised), table(initialised=initialised))
        run = session.load_graph(str(path)).signatures["serving_default"].run
        if initialised:
            assert run({"a": words, "b": words})["y"].tolist() == [1, -1]
        else:
            with pytest.raises(tf.errors.FailedPreconditionError, match="not initialized"):
                run({"a": words, "b": words})


def test_a_graph_runs_without_the_device_of_its_writer(tmp_path: Path) -> None:
    """A graph whose ops are put on a GPU or a parameter server runs without one."""

    def placed(proto: Any) -> None:
        for node in proto.meta_graphs[0].graph_def.node:
            node.device = "/job:ps/task:0" if node.op == "Const" else "/device:GPU:0"

    source = sessions.write(tmp_path / "1", sessions.doubled)
    results, _ = load(str(rewritten(source, tmp_path / "2", placed)), "savedmodel")
    assert results["inference"].outcome is Outcome.PASS, results["inference"].message


def test_what_is_missing_in_this_interpreter_fails_no_checkpoint(tmp_path: Path) -> None:
    """An op of another library, a newer writer; but the same with no such excuse does."""
    source = sessions.write(tmp_path / "1", sessions.doubled)

    def of_addons(proto: Any) -> None:
        node = next(n for n in proto.meta_graphs[0].graph_def.node if n.op == "Mul")
        node.op = "Addons>Mul"

    def broken(proto: Any) -> None:
        node = next(n for n in proto.meta_graphs[0].graph_def.node if n.op == "Mul")
        del node.attr["T"]

    def newer(proto: Any) -> None:
        broken(proto)
        proto.meta_graphs[0].meta_info_def.tensorflow_version = "2.99.0"

    found = {
        change.__name__: load(
            str(rewritten(source, tmp_path / change.__name__, change)), "savedmodel"
        )[0]["load"]
        for change in (of_addons, broken, newer)
    }
    assert {name: result.reason for name, result in found.items()} == {
        "of_addons": "load.environment",
        "broken": "load.load_error",
        "newer": "load.environment",
    }
    assert "tensorflow_addons" in found["of_addons"].message
    assert "TensorFlow 2.99.0 wrote it" in found["newer"].message


def test_a_kernel_that_tensorflow_dropped_is_a_note(tmp_path: Path) -> None:
    """It loads; that it runs is not shown, and no GPU is asked for."""

    def build(v1: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        x = v1.placeholder("float32", [None], "x")
        (y,) = tf.raw_ops.BoostedTreesBucketize(float_values=[x], bucket_boundaries=[[0.5]])
        return {"serving_default": sessions.signature({"x": x}, {"y": y})}, {}

    results, _ = load(str(sessions.write(tmp_path / "1", build)), "savedmodel")
    assert results["load"].outcome is Outcome.PASS
    ran = results["inference"]
    assert (ran.outcome, ran.reason) == (Outcome.SKIP, "inference.environment")
    assert "no kernel for the op 'BoostedTreesBucketize' on any device" in ran.message


def test_what_no_loader_takes_is_a_load_error(tmp_path: Path) -> None:
    """A variable that is not in the bundle, a signature of a tensor that is not in the graph."""
    source = sessions.write(tmp_path / "1", sessions.counter)

    def other_key(proto: Any) -> None:
        for node in proto.meta_graphs[0].graph_def.node:
            if node.name.endswith("RestoreV2/tensor_names"):
                node.attr["value"].tensor.string_val[0] = b"nothing"

    def other_tensor(proto: Any) -> None:
        proto.meta_graphs[0].signature_def["look"].outputs["now"].name = "nothing:0"

    for change in (other_key, other_tensor):
        path = rewritten(source, tmp_path / change.__name__, change)
        result = load(str(path), "savedmodel")[0]["load"]
        assert result.reason == "load.load_error"
        assert "nothing" in result.message


def test_a_signature_that_runs_only_in_a_session_counts_as_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TensorFlow 2 takes the file and stumbles over one of its signatures."""
    from checkpointd.verify.load.loaders import saved_model

    def build(v1: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        x = v1.placeholder("float32", [None, 2], "x")
        weight = v1.get_variable("w", [2, 2], use_resource=True)
        return {"serving_default": sessions.signature({"x": x}, {"y": v1.matmul(x, weight)})}, {}

    real = saved_model._signature

    def stumbles(function: Any) -> Any:
        def run(_arrays: Any) -> Any:
            raise tf.errors.InternalError(None, None, "Retval[0] does not have value")

        import dataclasses

        return dataclasses.replace(real(function), run=run)

    monkeypatch.setattr(saved_model, "_signature", stumbles)
    path = sessions.write(tmp_path / "1", build)
    results, _ = load(str(path), "savedmodel")
    assert loader_of(results)[0] == "saved_model"
    assert results["inference"].outcome is Outcome.PASS
    assert "runs only in the TensorFlow 1 session loader" in results["inference"].message


@pytest.mark.parametrize("name", ["x-1", "input.1", "a/b", "0"])
def test_an_input_may_have_a_name_that_no_parameter_has(tmp_path: Path, name: str) -> None:
    """TensorFlow 2 gives the parameter another name than the signature has."""

    @tf.function
    def run(x: Any) -> Any:
        return {"y": x * 2.0}

    module = tf.Module()
    spec = tf.TensorSpec([None, 2], tf.float32, name=name)
    tf.saved_model.save(module, str(tmp_path / "1"), run.get_concrete_function(spec))
    results, facts = verify(str(tmp_path / "1"))
    assert loader_of(results)[0] == "saved_model"
    assert results["inference"].outcome is Outcome.PASS, results["inference"].message
    assert [entry[0] for entry in facts.signatures["serving_default"]["inputs"]] == [name]


def test_objects_with_a_broken_reference_are_a_part_that_no_loader_reads(tmp_path: Path) -> None:
    """A session runs the graph of TensorFlow 2 without them, and that shows nothing of them."""
    module = tf.Module()
    module.weight = tf.Variable([1.0, 2.0])
    module.run = tf.function(
        lambda x: {"y": x * module.weight}, input_signature=[tf.TensorSpec([None, 2])]
    )
    tf.saved_model.save(module, str(tmp_path / "1"), module.run)

    def lost_child(objects: Any) -> None:
        objects.nodes[0].children[0].node_id = 99

    def lost_function(objects: Any) -> None:
        for node in objects.nodes:
            if node.HasField("bare_concrete_function"):
                node.bare_concrete_function.concrete_function_name = "nothing"

    def other_shape(objects: Any) -> None:
        for node in objects.nodes:
            if node.HasField("variable"):
                node.variable.shape.dim[0].size = 7

    for change in (lost_child, lost_function, other_shape):
        path = rewritten(
            tmp_path / "1",
            tmp_path / change.__name__,
            lambda proto, change=change: change(proto.meta_graphs[0].object_graph_def),
        )
        assert load(str(path), "savedmodel")[0]["load"].reason == "load.load_error"
