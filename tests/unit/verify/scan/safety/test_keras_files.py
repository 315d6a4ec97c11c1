"""The configurations of Keras in files of every kind."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pytest

from checkpointd.core.check_result import Outcome
from checkpointd.verify.keras_files import keras_metadata
from tests.helpers.formats import archive, savedmodel
from tests.helpers.protobuf import field
from tests.helpers.scan import scanned, write_weights
from tests.unit.verify.scan.safety.test_keras import STORED, function, layer, model

if TYPE_CHECKING:
    from pathlib import Path


def metadata(path: Path, *objects: bytes) -> str:
    """Write the `keras_metadata.pb` of a SavedModel."""
    nodes = [field(2, i) + field(3, "root") + field(5, text) for i, text in enumerate(objects)]
    (path / "keras_metadata.pb").write_bytes(b"".join(field(1, node) for node in nodes))
    return str(path)


def test_the_metadata_of_keras_2_is_read_object_by_object(tmp_path: Path) -> None:
    """Each object carries a configuration as JSON; what cannot be read is reported."""
    texts = [json.dumps(one).encode() for one in (layer("Dense"), STORED)]
    read = keras_metadata.read(metadata(tmp_path, *texts))
    assert [one["class_name"] for one in read.configs] == ["Dense", "Lambda"]
    assert read.problem == ""
    assert "no JSON" in keras_metadata.read(metadata(tmp_path, b"{")).problem
    (tmp_path / "keras_metadata.pb").write_bytes(b"\x0a\xff")
    assert keras_metadata.read(str(tmp_path)).problem


def written(path: Path, config: Any) -> Path:
    """Write a configuration into a checkpoint of the format that the path's name suggests."""
    if path.suffix == ".keras":
        weights = path.with_suffix(".w")
        write_weights(weights, {"dense": np.ones(3)})
        members = {"metadata.json": b"{}", "config.json": json.dumps(config).encode()}
        return archive(path, {**members, "model.weights.h5": weights.read_bytes()})
    if path.suffix == ".h5":
        with h5py.File(path, "w") as file:
            file["model_weights/dense/dense/kernel:0"] = np.ones(3)
            file.attrs["model_config"] = json.dumps(model())
            file.attrs["training_config"] = json.dumps({"loss": config})
        return path
    savedmodel(path)
    metadata(path, json.dumps(config).encode())
    return path


@pytest.mark.parametrize("name", ["m.keras", "m.h5", "exported"])
def test_every_kind_of_file_is_searched(tmp_path: Path, name: str) -> None:
    """`config.json`, the attributes of HDF5, the metadata beside a graph."""
    seen = scanned(written(tmp_path / name, STORED))
    beside = name == "exported"  # where Keras 2 alone would run it, who does not load it here
    word = "keras_metadata_code" if beside else "needs_code"
    assert seen.checks["safety"].reason == f"safety.{word}", seen
    assert seen.checks["safety"].outcome is (Outcome.WARN if beside else Outcome.ERROR)
    assert "lambda_1" in seen.checks["safety"].message
    call = layer("Lambda", name="l", function=function("os", "system"))
    (tmp_path / "other").mkdir()
    seen = scanned(written(tmp_path / "other" / name, call), allow_code=True)
    assert seen.checks["safety"].reason == "safety.code", seen


def test_keras_metadata_that_cannot_be_read_is_a_warning(tmp_path: Path) -> None:
    """TensorFlow does not read it; who trusts the writer hears nothing of it."""
    savedmodel(tmp_path / "exported")
    (tmp_path / "exported" / "keras_metadata.pb").write_bytes(b"\x0a\xff")
    seen = scanned(tmp_path / "exported").checks["safety"]
    assert (seen.reason, seen.outcome) == ("safety.keras_metadata_code", Outcome.WARN)
    assert scanned(tmp_path / "exported", allow_code=True).checks["safety"].reason == ""


@pytest.mark.parametrize("key", ["vocabulary", "name"])
def test_a_word_that_is_itself_a_configuration_is_a_word(tmp_path: Path, key: str) -> None:
    """Lookup layers take their vocabulary as it is; another text may be read by somebody."""
    words = [json.dumps(STORED)]
    for first in ("build_config", "config"):
        lookup = {"class_name": "StringLookup", "module": "keras.layers", first: {}}
        lookup["build_config"] = layer("Dense")
        lookup["config"] = {key: words}
        seen = scanned(written(tmp_path / f"{first}.keras", model(lookup))).checks["safety"]
        assert seen.reason == ("" if key == "vocabulary" else "safety.needs_code"), seen


def test_what_keras_2_says_of_a_vocabulary_beside_a_graph_is_no_reference(tmp_path: Path) -> None:
    """The SavedModel has the file among its assets, and TensorFlow reads that."""
    lookup = layer("StringLookup", None, name="x", vocabulary="/data/words.txt")
    seen = scanned(written(tmp_path / "exported", lookup))
    assert seen.checks["safety"].outcome is Outcome.PASS
