"""`diff` on what Keras and TensorFlow save, with their own readers as the oracle."""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING, Any

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf

from checkpointd.verify.scan.diff.comparison import diff
from tests.helpers.cli import checkpointd
from tests.helpers.scan import request_for

if TYPE_CHECKING:
    from pathlib import Path


def compared(one: Path | str, other: Path | str, *, weights_only: bool = False) -> dict[str, Any]:
    """Compare what is at two paths."""
    facts = diff(request_for(one), request_for(other), weights_only=weights_only)
    json.dumps(facts, allow_nan=False)
    return facts


def save_all(model: Any, directory: Path, name: str) -> list[str]:
    """Save a model in five formats."""
    paths = [
        str(directory / f"{name}{end}") for end in (".keras", ".weights.h5", ".h5", "_sm", "_ck")
    ]
    model.save(paths[0])
    model.save_weights(paths[1])
    model.save(paths[2])
    model.export(paths[3], verbose=False)
    tf.train.Checkpoint(model=model).write(paths[4])
    return paths


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """One model in five formats, before and after a step; and its weights both times."""
    directory = tmp_path_factory.mktemp("diff")
    keras.utils.set_random_seed(7)
    inputs = keras.Input((8, 4))
    hidden = keras.layers.MultiHeadAttention(2, 4, name="mha")(inputs, inputs)
    hidden = keras.layers.BatchNormalization(name="bn")(hidden)
    hidden = keras.layers.LSTM(4, name="lstm")(hidden)
    for number in range(3):
        hidden = keras.layers.Dense(4, name=f"d{number}")(hidden)
    model = keras.Model(inputs, keras.layers.Dense(2, name="out")(hidden))
    model.compile("adam", "mse")
    rng = np.random.default_rng(7)
    x, y = rng.random((4, 8, 4)), rng.random((4, 2))
    model.train_on_batch(x, y)
    before = save_all(model, directory, "a")
    weights = [np.array(w) for w in model.get_weights()]
    model.train_on_batch(x, y)
    after = save_all(model, directory, "b")
    return {"before": before, "after": after, "weights": (weights, model.get_weights())}


def test_the_same_weights_are_the_same_in_any_two_formats(saved: dict[str, Any]) -> None:
    """Names differ by format; nothing is left unpaired, and nothing differs."""
    for one, other in itertools.combinations(saved["before"], 2):
        facts = compared(one, other, weights_only=True)
        assert facts["result"] == "same", (one, other, facts)
        assert facts["counts"]["same"] == len(saved["weights"][0])


def test_differences_across_formats_are_those_of_numpy(saved: dict[str, Any]) -> None:
    """The largest difference of each tensor, whichever formats hold it."""
    ours, theirs = ([w.astype(np.float64) for w in side] for side in saved["weights"])
    wanted = sorted(
        float(np.abs(a - b).max()) for a, b in zip(ours, theirs, strict=False) if (a != b).any()
    )
    norm = np.sqrt(sum(np.sum((a - b) ** 2) for a, b in zip(ours, theirs, strict=False)))
    for one, other in itertools.product(saved["before"], saved["after"]):
        facts = compared(one, other, weights_only=True)
        got = sorted(row["max_abs_difference"] for row in facts["changed"])
        assert got == wanted, (one, other)
        assert facts["difference_norm"] == pytest.approx(norm)
        assert facts["counts"]["unclear"] == 0


def test_an_optimizer_on_one_side_alone_is_listed(saved: dict[str, Any]) -> None:
    """And the configuration: what Keras 3.15 leaves out once a model was saved as .h5."""
    facts = compared(saved["before"][0], saved["before"][3])
    assert facts["result"] == "different"
    assert {row["role"] for row in facts["gone"]} == {"optimizer"}
    facts = compared(saved["before"][4], saved["before"][0])
    assert facts["result"] == "same", facts


def test_the_command_prints_within_the_terminal_and_ends_with_a_code(
    saved: dict[str, Any], tmp_path: Path
) -> None:
    """0, 1, 2 and 3, as the manual has them."""
    one, other = saved["before"][0], saved["after"][1]
    same = checkpointd("diff", one, saved["before"][1], home=tmp_path)
    assert (same.returncode, "They are the same." in same.stdout) == (0, True), same.stderr
    differ = checkpointd("diff", "--weights", "--json", one, other, home=tmp_path)
    assert (differ.returncode, json.loads(differ.stdout)["result"]) == (1, "different")
    assert checkpointd("diff", one, str(tmp_path / "none"), home=tmp_path).returncode == 2
    torn = tmp_path / "torn.weights.h5"
    with open(other, "rb") as whole:
        torn.write_bytes(whole.read()[:-5000])
    cut = checkpointd("diff", one, str(torn), home=tmp_path)
    assert cut.returncode == 3
    assert "torn.weights.h5" in cut.stderr


def test_odd_tensors_of_tensorflow_are_compared(tmp_path: Path) -> None:
    """Strings, scalars, empty ones, bfloat16, NaN on one side, and a type that changed."""

    def write(name: str, **changed: Any) -> str:
        values = {
            "text": tf.constant(["a", "bc"]),
            "scalar": tf.constant(3.5),
            "empty": tf.zeros((0, 3)),
            "brain": tf.cast(tf.linspace(0.0, 1.0, 100), tf.bfloat16),
            "numbers": tf.range(5, dtype=tf.int64),
            **changed,
        }
        path = str(tmp_path / name)
        tf.raw_ops.SaveV2(
            prefix=path,
            tensor_names=list(values),
            shape_and_slices=[""] * len(values),
            tensors=list(values.values()),
        )
        return path

    one = write("one")
    assert compared(one, write("again"))["result"] == "same"
    facts = compared(
        one,
        write(
            "other",
            text=tf.constant(["a", "bd"]),
            scalar=tf.constant(float("nan")),
            brain=tf.linspace(0.0, 1.0, 100),
            numbers=tf.range(6, dtype=tf.int64),
        ),
    )
    rows = {row["name"]: row for row in facts["changed"]}
    assert set(rows) == {"text", "scalar", "brain", "numbers"}
    assert rows["scalar"]["nan"] == [0, 1]
    assert rows["scalar"]["finiteness_differs"] == 1
    assert rows["brain"]["dtype"] == ["bfloat16", "float32"]
    exact = tf.linspace(0.0, 1.0, 100)
    rounded = tf.cast(tf.cast(exact, tf.bfloat16), tf.float32)
    assert rows["brain"]["max_abs_difference"] == float(np.abs(rounded - exact).max())
    assert rows["numbers"]["shape"] == [[5], [6]]


def test_memory_does_not_grow_with_a_tensor(tmp_path: Path) -> None:
    """Chunked and compressed in the one file, in one piece in the other."""
    import tracemalloc

    values = np.arange(12_000_000, dtype=np.float32).reshape(3000, 4000)
    for name, options in (("a", {}), ("b", {"chunks": (500, 400), "compression": "gzip"})):
        with h5py.File(tmp_path / f"{name}.weights.h5", "w") as file:
            file.create_dataset("layers/dense/vars/0", data=values, **options)
        values[-1, -1] += 8
    tracemalloc.start()
    facts = compared(tmp_path / "a.weights.h5", tmp_path / "b.weights.h5")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert facts["changed"][0]["max_abs_difference"] == 8
    assert facts["changed"][0]["differing"] == 1
    assert peak < values.nbytes / 2
