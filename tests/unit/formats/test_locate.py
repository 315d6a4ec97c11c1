"""What a path typed by a user names."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from checkpointd.core.format_specs import Format
from checkpointd.formats import locate, recognise
from tests.helpers.bundles import bundle
from tests.helpers.formats import archive, savedmodel

if TYPE_CHECKING:
    from pathlib import Path


def located(path: Path | str) -> tuple[str, Format] | None:
    """The path and format of what is found."""
    found = locate(str(path))
    return (found.path, found.hint) if found else None


@pytest.mark.parametrize("typed", ["c-1", "c-1.index", "c-1.data-00001-of-00002"])
def test_a_prefix_its_index_and_its_shards_name_the_same_checkpoint(
    tmp_path: Path, typed: str
) -> None:
    """All three give what the walk finds."""
    bundle(tmp_path / "c-1", shards=2)
    found = locate(str(tmp_path / typed))
    assert found == recognise(str(tmp_path)).found[0]


@pytest.mark.parametrize(
    "typed",
    [
        *("", "/", "/saved_model.pb", "/variables/variables.index", "/variables/variables"),
        *("/variables/variables.data-00000-of-00001", "/assets/vocabulary.txt"),
    ],
)
def test_a_savedmodel_is_named_by_its_directory_and_by_what_lies_in_it(
    tmp_path: Path, typed: str
) -> None:
    """A part of it never passes for a checkpoint of its own."""
    savedmodel(tmp_path / "7")
    assert located(f"{tmp_path}/7{typed}") == (str(tmp_path / "7"), Format.SAVEDMODEL)


@pytest.mark.parametrize(
    "typed", ["best.keras", "sub/best.keras", "a/b/best.keras", "assets/best.keras", "labels.txt"]
)
def test_a_file_beside_or_below_the_parts_of_a_savedmodel_means_itself(
    tmp_path: Path, typed: str
) -> None:
    """Nothing is judged in its place."""
    savedmodel(tmp_path / "7")
    file = tmp_path / "7" / typed
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"x")
    hint = Format.KERAS if typed.endswith(".keras") else Format.UNKNOWN
    assert located(file) == (str(file), hint)


def test_a_prefix_beside_or_among_the_parts_of_a_savedmodel_means_itself(tmp_path: Path) -> None:
    """Only `variables/variables` is the SavedModel's own."""
    savedmodel(tmp_path / "7")
    for place in ("cp.ckpt", "variables/other"):
        bundle(tmp_path / "7" / place)
        expected = (str(tmp_path / "7" / place), Format.TF_CHECKPOINT)
        assert located(tmp_path / "7" / f"{place}.index") == expected
        assert located(tmp_path / "7" / place) == expected


def test_an_empty_prefix_is_named_by_its_files(tmp_path: Path) -> None:
    """Its directory alone is a directory."""
    for file in bundle(tmp_path / "x"):
        file.rename(file.with_name(file.name.removeprefix("x")))
    assert located(tmp_path / ".index") == (f"{tmp_path}/", Format.TF_CHECKPOINT)
    assert located(f"{tmp_path}/") is None


def test_a_file_is_a_candidate_whatever_its_name(tmp_path: Path) -> None:
    """The extension gives the hint, a link is followed."""
    archive(tmp_path / "a.keras")
    archive(tmp_path / "b")
    (tmp_path / "latest.keras").symlink_to("a.keras")
    for name, hint in (("a.keras", Format.KERAS), ("b", Format.UNKNOWN)):
        assert located(tmp_path / name) == (str(tmp_path / name), hint)
    assert located(tmp_path / "latest.keras") == (str(tmp_path / "latest.keras"), Format.KERAS)


def test_a_shard_of_keras_weights_names_the_map_beside_it(tmp_path: Path) -> None:
    """Without a map it is a file of its own."""
    shard = tmp_path / "m_00000.weights.h5"
    shard.touch()
    assert located(shard) == (str(shard), Format.HDF5_WEIGHTS)
    (tmp_path / "m.weights.json").touch()
    assert located(shard) == (str(tmp_path / "m.weights.json"), Format.HDF5_WEIGHTS)


def test_a_prefix_beside_a_directory_of_its_name_is_found(tmp_path: Path) -> None:
    """`ckpt` may be a directory and a prefix; an ordinary directory alone names nothing."""
    (tmp_path / "ckpt").mkdir()
    assert located(tmp_path / "ckpt") is None
    bundle(tmp_path / "ckpt")
    assert located(tmp_path / "ckpt") == (str(tmp_path / "ckpt"), Format.TF_CHECKPOINT)


def test_what_is_not_there_names_nothing(tmp_path: Path) -> None:
    """Nor does a path through a file, or a pipe."""
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "pipe")
    savedmodel(tmp_path / "m")
    for path in ("gone", "no/such/dir", "file/below", "pipe", "m/gone", "m/variables/gone"):
        assert located(tmp_path / path) is None


def test_relative_paths_stay_relative(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is printed is the caller's business."""
    bundle(tmp_path / "c-1")
    savedmodel(tmp_path / "m")
    monkeypatch.chdir(tmp_path)
    assert located("c-1.index") == ("c-1", Format.TF_CHECKPOINT)
    monkeypatch.chdir(tmp_path / "m")
    assert located("saved_model.pb") == (".", Format.SAVEDMODEL)
    assert located(".") == (".", Format.SAVEDMODEL)
