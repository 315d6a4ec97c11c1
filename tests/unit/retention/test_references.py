"""What `checkpoint` state files and symbolic links below a root name."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from checkpointd.retention import find_references

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('model_checkpoint_path: "ckpt-7"\nall_model_checkpoint_paths: "ckpt-6"\n', "run/ckpt-7"),
        ('all_model_checkpoint_paths: "ckpt-6"\nmodel_checkpoint_path: "ckpt-7"', "run/ckpt-7"),
        ('model_checkpoint_path: "/another/mount/ckpt-7"\n', "run/ckpt-7"),
        (r'model_checkpoint_path: "a\"b\\c\303\251\n"', 'run/a"b\\cé\n'),
        (r'model_checkpoint_path: "\377"', "run/\udcff"),
    ],
)
def test_a_state_file_names_the_one_to_resume_from(tmp_path: Path, text: str, named: str) -> None:
    """Escapes are TensorFlow's text format; a moved directory does not hide what is meant."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "checkpoint").write_text(text)
    found = find_references(str(tmp_path))
    assert f"{tmp_path}/{named}" in found.paths
    assert f"{tmp_path}/run/ckpt-6" not in found.paths
    assert found.errors == ()


def test_a_state_file_of_another_name_counts_too(tmp_path: Path) -> None:
    """`latest_filename` may be anything; what begins like a state file and reads like one is."""
    (tmp_path / "checkpoint_best").write_text('model_checkpoint_path: "best-3"\n')
    (tmp_path / "checkpoint.txt").write_text("my notes")
    assert f"{tmp_path}/best-3" in find_references(str(tmp_path)).paths


def test_a_link_names_where_it_leads_in_the_end(tmp_path: Path) -> None:
    """Chains are followed, also from a root that is itself reached by a link."""
    real = tmp_path / "real"
    (real / "exports" / "7").mkdir(parents=True)
    (real / "exports" / "latest").symlink_to("7")
    (real / "serving").symlink_to("exports/latest")
    (real / "dangling").symlink_to("nowhere")
    (tmp_path / "root").symlink_to("real")
    root = f"{tmp_path}/root"
    found = find_references(root)
    assert f"{root}/exports/7" in found.paths
    assert found.errors == ()


def test_the_trash_names_nothing(tmp_path: Path) -> None:
    """A state file that was moved away holds nothing back."""
    trash = tmp_path / ".checkpointd-trash"
    trash.mkdir()
    (trash / "checkpoint").write_text('model_checkpoint_path: "ckpt-1"\n')
    (tmp_path / "ckpt-1.index").write_text("")
    assert find_references(str(tmp_path)).paths == frozenset()


def test_an_empty_or_missing_root_is_trouble(tmp_path: Path) -> None:
    """A mount point without its mount looks just like this."""
    assert "empty: is it mounted?" in find_references(str(tmp_path)).errors[0]
    assert "does not exist" in find_references(f"{tmp_path}/missing").errors[0]


def test_odd_things_called_checkpoint_are_no_trouble(tmp_path: Path) -> None:
    """A pipe does not block, a directory is walked, rubbish names nothing."""
    (tmp_path / "a").mkdir()
    os.mkfifo(tmp_path / "a" / "checkpoint")
    (tmp_path / "checkpoint").mkdir()
    (tmp_path / "checkpoint" / "checkpoint").write_bytes(b"\x00\xff model_checkpoint_path")
    assert find_references(str(tmp_path)) == find_references(str(tmp_path))
    assert find_references(str(tmp_path)).errors == ()
