"""Good models that are particular about what they take are valid, and most are shown to run."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.helpers.cli import ROOT, checkpointd, environment

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.timeout(300)

_WITHOUT_A_TABLE = """
import sys, keras, tensorflow as tf
for name, layer in (
    ("words", keras.layers.StringLookup(output_mode="one_hot")),
    ("text", keras.layers.TextVectorization()),
    ("ids", keras.layers.IntegerLookup()),
):
    layer.adapt(tf.constant([3, 4] if name == "ids" else ["cat", "dog"]))
    i = keras.Input((1,), dtype="int64" if name == "ids" else "string")
    keras.Model(i, layer(i)).save(f"{sys.argv[1]}/{name}.h5")
"""


def verified(home: Path, *names: str) -> dict[str, dict[str, Any]]:
    """One call of the command line; the public objects by name."""
    done = checkpointd("verify", "--json", *names, home=home)
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(found) == len(names), done.stderr
    return {one["path"].rpartition("/")[2]: one for one in found}


def inference(public: dict[str, Any]) -> dict[str, Any]:
    """What the check came to."""
    found: dict[str, Any] = next(c for c in public["checks"] if c["name"] == "inference")
    return found


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What is said of every model of the zoo."""
    home = tmp_path_factory.mktemp("zoo")
    subprocess.run(
        [sys.executable, "-m", "tests.helpers.particular", str(home)],
        env=environment(home),
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    names = sorted(path.name for path in home.iterdir() if path.name[0] != ".")
    assert len(names) > 35
    return {**verified(home, *names[::2]), **verified(home, *names[1::2])}


def test_no_good_model_is_called_bad(zoo: dict[str, dict[str, Any]]) -> None:
    """What a model refuses of what was made up for it proves nothing about it."""
    wrong = {name: one["message"] for name, one in zoo.items() if one["verdict"] != "valid"}
    assert wrong == {}


def test_what_takes_any_of_the_made_inputs_runs(zoo: dict[str, dict[str, Any]]) -> None:
    """Only those run that take something that can be made up."""
    idle = {name for name, one in zoo.items() if "runs" not in one["shown"]}
    assert idle == {"a_password", "never_a_number"}


def test_what_takes_none_of_them_is_reported(zoo: dict[str, dict[str, Any]]) -> None:
    """The note names the cause first, and what to do."""
    refused = inference(zoo["a_password"])
    assert (refused["outcome"], refused["reason"]) == ("skip", "inference.not_run")
    assert "fails on every input made for it: InvalidArgumentError" in refused["message"]
    assert refused["message"].endswith("give GoldenCheckpoint a golden batch.")
    never = inference(zoo["never_a_number"])
    assert (never["outcome"], never["reason"]) == ("warn", "inference.non_finite_made_up")


def test_a_table_that_nothing_initialises_fails_whatever_the_inputs(tmp_path: Path) -> None:
    """Keras 3 stores no vocabulary in `.h5`: neither words nor numbers excuse that."""
    made = [sys.executable, "-c", _WITHOUT_A_TABLE, str(tmp_path)]
    subprocess.run(made, env=environment(tmp_path), check=True, capture_output=True)
    for public in verified(tmp_path, "words.h5", "text.h5", "ids.h5").values():
        assert public["verdict"] == "invalid"
        assert public["reason"] == "inference.uninitialized"
        assert "Table not initialized" in public["message"]
