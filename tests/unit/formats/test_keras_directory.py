"""What Keras 3 saves with `zipped=False`: recognised by content, whole when all is there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from checkpointd.core.format_specs import Format
from checkpointd.formats import (
    Candidate,
    ProbeState,
    generation_of,
    has_followed,
    locate,
    recognise,
)
from checkpointd.series.names import parse_name
from tests.helpers.files import set_times
from tests.helpers.formats import archive, probed, superblock

CONFIG = json.dumps({"module": "keras", "class_name": "Sequential", "config": {"name": "s"}})
METADATA = json.dumps({"keras_version": "3.15.1", "date_saved": "2026-01-01@00:00:00"})
INCOMPLETE = ProbeState.INCOMPLETE


def directory(path: Path) -> Path:
    """A whole one, by its edges."""
    (path / "assets" / "layers").mkdir(parents=True)
    (path / "assets" / "layers" / "vocabulary.txt").write_text("a\n")
    (path / "metadata.json").write_text(METADATA)
    (path / "config.json").write_text(CONFIG)
    (path / "model.weights.h5").write_bytes(superblock(100) + bytes(100)[48:])
    return path


def candidates(path: Path) -> dict[str, Format]:
    """What is found in a directory, by its own names."""
    return {Path(f.path).name: f.hint for f in recognise(str(path)).found}


def test_it_is_one_checkpoint_beside_whatever_else_lies_there(tmp_path: Path) -> None:
    """Its weights are no checkpoint of their own; a README is no member, another model is found."""
    model = directory(tmp_path / "m")
    (model / "README.md").write_text("a model card")
    (model / "assets.extra").mkdir()
    (model / "assets.extra" / "golden.npz").touch()
    (model / "logs").mkdir()
    archive(model / "best.keras")
    result = recognise(str(model))
    assert candidates(model) == {
        "m": Format.KERAS,
        "best.keras": Format.KERAS,
        "README.md": Format.UNKNOWN,
    }
    assert result.descend == (str(model / "logs"),)
    whole = next(f for f in result.found if f.path == str(model))
    assert [m.name for m in whole.generation.members] == [
        "/assets.extra/golden.npz",
        "/assets/layers/vocabulary.txt",
        "/config.json",
        "/metadata.json",
        "/model.weights.h5",
    ]
    assert generation_of(whole.path, whole.hint) == whole.generation


@pytest.mark.parametrize("typed", ["", "/config.json", "/metadata.json", "/model.weights.h5"])
def test_it_is_named_by_its_directory_and_by_its_parts(tmp_path: Path, typed: str) -> None:
    """What is not its part means itself."""
    model = directory(tmp_path / "m")
    archive(model / "best.keras")
    found = locate(f"{model}{typed}")
    assert found is not None
    assert (found.path, found.hint) == (str(model), Format.KERAS)
    other = locate(str(model / "best.keras"))
    assert other is not None
    assert other.path == str(model / "best.keras")


@pytest.mark.parametrize(
    ("config", "metadata"),
    [
        ('{"learning_rate": 0.1}', METADATA),
        ('{"learning_rate": 0.1}', '{"run": 7}'),
        ('{"class_name": "Sequential", "keras_version": "2.15.0"}', '{"run": 7}'),
        ("", '{"run": 7}'),
        (CONFIG, None),
    ],
)
def test_a_jobs_own_settings_make_no_model_of_a_directory(
    tmp_path: Path, config: str, metadata: str | None
) -> None:
    """The names are common ones: then the weights are a checkpoint of their own."""
    model = directory(tmp_path / "run")
    (model / "config.json").write_text(config)
    if metadata is None:
        (model / "metadata.json").unlink()
    else:
        (model / "metadata.json").write_text(metadata)
    assert candidates(model)["model.weights.h5"] is Format.HDF5_WEIGHTS
    assert "run" not in candidates(model)


@pytest.mark.parametrize(
    ("config", "metadata"),
    [
        (CONFIG.replace("module", "mo\x00ule"), METADATA),
        (CONFIG.replace("class_name", "class_nbme"), METADATA),
        (CONFIG, METADATA.replace("keras_version", "kerbs_version")),
        (CONFIG, ""),
        ("", METADATA),
        (json.dumps(json.loads(CONFIG), indent=2), "{}"),
    ],
)
def test_one_damaged_text_does_not_hide_it(tmp_path: Path, config: str, metadata: str) -> None:
    """Its weights alone would be called valid."""
    model = directory(tmp_path / "m")
    (model / "config.json").write_text(config)
    (model / "metadata.json").write_text(metadata)
    assert candidates(model) == {"m": Format.KERAS}


def test_it_is_whole_when_all_is_there_and_never_for_certain(tmp_path: Path) -> None:
    """Without assets too: a model may have none."""
    model = directory(tmp_path / "m")
    result = probed(model)
    assert (result.state, result.format) == (ProbeState.COMPLETE, Format.KERAS)
    assert not result.certain
    (model / "assets" / "layers" / "vocabulary.txt").unlink()
    assert probed(model).state is ProbeState.COMPLETE


@pytest.mark.parametrize(
    ("name", "content", "word"),
    [
        ("config.json", None, "missing_member"),
        ("model.weights.h5", None, "missing_member"),
        ("config.json", b"", "truncated"),
        ("config.json", CONFIG[:30].encode(), "truncated"),
        ("metadata.json", METADATA[:20].encode(), "truncated"),
        ("model.weights.h5", b"", "truncated"),
        ("model.weights.h5", superblock(100) + bytes(10), "truncated"),
        ("model.weights.h5", bytes(200), "truncated"),
        ("model.weights.h5", b"version https://git-lfs.github.com/spec/v1\n", "not_a_checkpoint"),
    ],
)
def test_it_is_incomplete_without_a_part(
    tmp_path: Path, name: str, content: bytes | None, word: str
) -> None:
    """Whatever its writer owes is named."""
    model = directory(tmp_path / "m")
    if content is None:
        (model / name).unlink()
    else:
        (model / name).write_bytes(content)
    result = probed(model)
    assert (result.state, result.reason) == (INCOMPLETE, f"structure.{word}")
    assert name in result.message


def test_a_name_that_keras_takes_for_an_archive_is_reported(tmp_path: Path) -> None:
    """`load_model("best.keras")` opens a file."""
    result = probed(directory(tmp_path / "best.keras"))
    assert (result.state, result.reason) == (INCOMPLETE, "structure.not_a_checkpoint")
    assert "rename the directory" in result.message


def test_its_weights_are_written_last(tmp_path: Path) -> None:
    """A save over the old one shows by the times."""
    model = directory(tmp_path / "m")
    order = [model / name for name in ("metadata.json", "config.json", "model.weights.h5")]
    set_times(order)
    assert has_followed(generation_of(str(model), Format.KERAS), Format.KERAS)
    set_times([order[2], order[0], order[1]])
    assert not has_followed(generation_of(str(model), Format.KERAS), Format.KERAS)


def test_a_directory_of_links_is_one_too(tmp_path: Path) -> None:
    """A snapshot in the cache of Hugging Face's hub is made of nothing else."""
    model = directory(tmp_path / "blobs")
    (tmp_path / "snapshot").mkdir()
    for name in ("config.json", "metadata.json", "model.weights.h5"):
        (tmp_path / "snapshot" / name).symlink_to(model / name)
    (found,) = recognise(str(tmp_path / "snapshot")).found
    assert isinstance(found, Candidate)
    assert len(found.generation.members) == 3
    assert probed(tmp_path / "snapshot").state is ProbeState.COMPLETE


def test_its_name_is_placed_as_a_directorys(tmp_path: Path) -> None:
    """A number alone is a version, and a point in it begins no extension."""
    del tmp_path
    assert parse_name("run/7", Format.KERAS).version == "7"
    assert parse_name("run/epoch_03", Format.KERAS).series == "run/epoch_{}"
