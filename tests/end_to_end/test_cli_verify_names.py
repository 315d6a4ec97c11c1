"""`verify` on what is called like a model: the file that was named, and what it really is."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.cli import checkpointd, train

_MAKE = """
import os, shutil, sys, zipfile, numpy as np, keras, tensorflow as tf, tf_keras
os.chdir(sys.argv[1])
model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(8, name="hidden")])
model.compile("adam", "mse")
model.save("good.keras")
model.export("served", verbose=False)
good = open("good.keras", "rb").read()
os.makedirs("served/a/b")
for place in ("served", "served/a/b"):
    open(f"{place}/best.keras", "wb").write(good[:100])
open("served/whole.keras", "wb").write(good)
model.save("unzipped_1", zipped=False)
text = keras.layers.TextVectorization(max_tokens=9)
text.adapt(["a b c"])
keras.Sequential([keras.layers.Input((1,), dtype="string"), text]).save("words", zipped=False)
model.save("cut", zipped=False)
os.truncate("cut/config.json", 60)
model.save("nan", zipped=False)
import h5py
with h5py.File("nan/model.weights.h5", "r+") as file:
    file["layers/dense/vars/0"][0, 0] = np.nan
legacy = tf_keras.Sequential([tf_keras.layers.Input((4,)), tf_keras.layers.Dense(8)])
legacy.save_weights("empty_prefix/")
with zipfile.ZipFile("deep.keras", "w") as file:
    for name in os.listdir("unzipped_1"):
        file.write(f"unzipped_1/{name}")
open("page.h5", "w").write("<!DOCTYPE html><html><body>Quota exceeded</body></html>")
pointer = "version https://git-lfs.github.com/spec/v1\\noid sha256:00\\nsize 5"
open("pointer.weights.h5", "w").write(pointer)
shutil.copytree("served", "frozen", ignore=lambda _, names: [n for n in names if "keras" in n])
with tf.Graph().as_default() as graph:
    tf.constant(1.0, name="c")
    open("frozen/saved_model.pb", "wb").write(graph.as_graph_def().SerializeToString())
with h5py.File("data.h5", "w") as file:
    file["x"] = np.ones(3)
with h5py.File("data.keras", "w") as file:
    file["x"] = np.ones(3)
v1 = tf.compat.v1
with tf.Graph().as_default(), v1.Session() as session:
    v1.get_variable("w", [3, 2])
    session.run(v1.global_variables_initializer())
    v1.train.Saver(write_version=1).save(session, "./old.ckpt", global_step=7)
"""


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """The result of `verify` for everything below one directory, by the path in it."""
    directory = tmp_path_factory.mktemp("names")
    train(_MAKE, directory)
    done = checkpointd("verify", "--json", ".", home=directory)
    assert done.returncode == 1
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    found = {os.path.relpath(line["path"], directory): line for line in lines}
    found["typed"] = json.loads(
        checkpointd("verify", "--json", "served/best.keras", home=directory).stdout
    )
    return found


def test_a_savedmodel_and_what_lies_beside_and_below_it_are_judged_each(
    verdicts: dict[str, dict[str, Any]],
) -> None:
    """A cut file beside a good SavedModel was called valid once."""
    assert verdicts["served"]["verdict"] == "valid"
    assert verdicts["served/whole.keras"]["verdict"] == "valid"
    for name in ("served/best.keras", "served/a/b/best.keras", "typed"):
        assert verdicts[name]["reason"] == "structure.truncated"
    assert Path(verdicts["typed"]["path"]).name == "best.keras"


def test_keras_directory_form_is_loaded_run_and_judged(
    verdicts: dict[str, dict[str, Any]],
) -> None:
    """As the archive is, with its assets; a cut configuration and a NaN are found."""
    shown = ["intact", "loads", "runs"]
    assert verdicts["unzipped_1"]["shown"][:3] == shown
    assert verdicts["words"]["shown"][:2] == shown[:2]
    assert {verdicts[n]["format"] for n in ("unzipped_1", "words", "cut")} == {"keras"}
    assert verdicts["cut"]["reason"] == "structure.truncated"
    assert "config.json" in verdicts["cut"]["message"]
    assert verdicts["nan"]["reason"] == "finite.nan"
    assert not any(name.endswith("model.weights.h5") for name in verdicts)


def test_an_empty_prefix_is_a_checkpoint(verdicts: dict[str, dict[str, Any]]) -> None:
    """`save_weights("dir/")` writes `.index`."""
    (name,) = (n for n in verdicts if n.startswith("empty_prefix"))
    assert verdicts[name]["verdict"] == "valid"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("deep.keras", "one folder too deep, in 'unzipped_1/'"),
        ("page.h5", "an HTML page"),
        ("pointer.weights.h5", "git lfs pull"),
        ("frozen", "a frozen GraphDef"),
        ("data.keras", "no Keras model and no weights"),
    ],
)
def test_other_content_is_invalid_and_named(
    verdicts: dict[str, dict[str, Any]], name: str, text: str
) -> None:
    """Nobody looks for a full disk."""
    found = verdicts[name]
    assert (found["verdict"], found["reason"]) == ("invalid", "structure.not_a_checkpoint")
    assert text in found["message"]
    assert "cut short" not in found["message"]


def test_data_in_hdf5_is_no_checkpoint(verdicts: dict[str, dict[str, Any]]) -> None:
    """Its name promises no model."""
    assert verdicts.get("data.h5", {"verdict": None})["verdict"] is None


def test_a_checkpoint_of_tensorflow_1s_first_format_is_named(
    verdicts: dict[str, dict[str, Any]],
) -> None:
    """It is neither silence nor invalid."""
    (name,) = (n for n in verdicts if n.startswith("old.ckpt"))
    assert (verdicts[name]["verdict"], verdicts[name]["reason"]) == (
        "inconclusive",
        "structure.unsupported",
    )
    assert "write_version=2" in verdicts[name]["message"]
