"""What TensorFlow leaves of a save that is killed before any file has its name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from checkpointd.core.format_specs import Format
from checkpointd.formats import ProbeState, generation_of, locate, probe, recognise

if TYPE_CHECKING:
    from pathlib import Path

_PART = "part-00000-of-00001.data-00000-of-00001"
_LEFT = {
    f"ckpt-1_temp/{_PART}.tempstate4708070488571278723": ("ckpt-1", Format.TF_CHECKPOINT),
    f"model_temp_{'0a' * 16}/{_PART}": ("model", Format.TF_CHECKPOINT),
    "model.ckpt-5.data-00000-of-00001.tempstate123": ("model.ckpt-5", Format.TF_CHECKPOINT),
    f"export/variables/variables_temp/{_PART}.tempstate14288": ("export", Format.SAVEDMODEL),
    "export/variables/variables.data-00000-of-00001.tempstate123": ("export", Format.SAVEDMODEL),
    f"export/saved_model.pb.tmp{'9d' * 16}": ("export", Format.SAVEDMODEL),
}


def below(top: Path, name: str) -> None:
    """Write a file; a SavedModel's writer makes `variables` first."""
    (top / name).parent.mkdir(parents=True, exist_ok=True)
    (top / name).write_bytes(b"xyz")
    if name.startswith("export/"):
        (top / "export/variables").mkdir(exist_ok=True)


@pytest.mark.parametrize(("name", "found"), _LEFT.items())
def test_what_a_killed_save_leaves_is_an_unfinished_checkpoint(
    tmp_path: Path, name: str, found: tuple[str, Format]
) -> None:
    """At the path that the checkpoint would have had, with the size of what is there."""
    below(tmp_path, name)
    path, hint = str(tmp_path / found[0]), found[1]
    top = tmp_path / "export" if hint is Format.SAVEDMODEL else tmp_path
    (candidate,) = recognise(str(top)).found
    assert (candidate.path, candidate.hint) == (path, hint)
    assert candidate.generation == generation_of(path, hint)
    assert candidate.generation.size_bytes == len(b"xyz")
    assert locate(path) == candidate
    seen = probe(candidate)
    assert (seen.state, seen.reason) == (ProbeState.INCOMPLETE, "structure.missing_member")
    assert seen.message == "The save is not finished: only its temporary files are there."


@pytest.mark.parametrize(
    "name",
    [
        "notes.tempstate5",
        "cache.data-00000-of-00001.tempstate5",
        "results_temp/part-00000-of-00001",
        "results_temp/part-00000-of-00001.csv",
        ".ckpt-7.data-00000-of-00001.a1B2c3",
        "ckpt-7.data-00000-of-00001.0a1b2c3d.partial",
    ],
)
def test_temporary_files_of_others_are_none(tmp_path: Path, name: str) -> None:
    """Neither of a tf.data cache, nor of Beam, nor of a copy that its next run continues."""
    below(tmp_path, name)
    assert not [f for f in recognise(str(tmp_path)).found if f.hint is not Format.UNKNOWN]


def test_a_tf_data_cache_is_none_even_if_it_is_called_like_a_checkpoint(tmp_path: Path) -> None:
    """Its lock file is beside it while it is written."""
    below(tmp_path, "ckpt_cache_0.data-00000-of-00001.tempstate5")
    below(tmp_path, "ckpt_cache_0.lockfile")
    assert not [f for f in recognise(str(tmp_path)).found if f.hint is not Format.UNKNOWN]


def test_temporary_files_beside_a_checkpoint_are_not_its_members(tmp_path: Path) -> None:
    """A save over it that is killed leaves the generation that was there."""
    below(tmp_path, "ckpt-1.index")
    before = recognise(str(tmp_path)).found
    below(tmp_path, f"ckpt-1_temp/{_PART}")
    assert recognise(str(tmp_path)).found == before
