"""References are kept current without walking everything again."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from checkpointd.retention import reference_index, reference_walk
from checkpointd.retention.reference_index import ReferenceIndex

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def _age(root: Path) -> None:
    """Make everything look as if it had not changed for a long time."""
    for above, _, names in os.walk(root, topdown=False):
        for path in (*(os.path.join(above, name) for name in names), above):
            os.utime(path, (1000, 1000), follow_symlinks=False)


@pytest.fixture
def listed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The directories that were listed."""
    found: list[str] = []
    scandir = os.scandir

    def count(path: str) -> object:
        found.append(path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", count)
    monkeypatch.setattr(reference_walk, "_RECENT_NS", 0)
    return found


def test_only_directories_that_changed_are_listed_again(tmp_path: Path, listed: list[str]) -> None:
    """A sweep of a large tree lists the one directory that has a new link."""
    for number in range(20):
        (tmp_path / f"run{number}" / "variables").mkdir(parents=True)
        (tmp_path / f"run{number}" / "ckpt").write_text("x")
    _age(tmp_path)
    listed.clear()
    index = ReferenceIndex(str(tmp_path))
    assert index.sweep().paths == frozenset()
    assert len(listed) == 41
    listed.clear()
    assert index.sweep().paths == frozenset()
    assert listed == []
    (tmp_path / "run7" / "best").symlink_to("ckpt")
    assert f"{tmp_path}/run7/ckpt" in index.sweep().paths
    assert listed == [f"{tmp_path}/run7"]
    (tmp_path / "run7" / "best").unlink()
    assert index.sweep().paths == frozenset()


def _rewrite_in_place(root: Path) -> None:
    with (root / "run" / "checkpoint").open("r+") as file:
        file.write('model_checkpoint_path: "ckpt-2"\n')


def _replace(root: Path) -> None:
    (root / "run" / "new").write_text('model_checkpoint_path: "ckpt-2"\n')
    (root / "run" / "new").rename(root / "run" / "checkpoint")


def _link_from_a_new_directory(root: Path) -> None:
    (root / "serving" / "deep").mkdir(parents=True)
    (root / "serving" / "deep" / "model").symlink_to("../../run/ckpt-2")


def _change_the_end_of_a_chain(root: Path) -> None:
    outside = root.parent / "outside"
    outside.unlink()
    outside.symlink_to(root / "run" / "ckpt-2")


@pytest.mark.parametrize(
    "change",
    [_rewrite_in_place, _replace, _link_from_a_new_directory, _change_the_end_of_a_chain],
)
def test_a_sweep_finds_what_a_walk_finds(tmp_path: Path, change: Callable[[Path], None]) -> None:
    """Whether a file is replaced or overwritten, and also where a link outside decides."""
    root = tmp_path / "root"
    (root / "run").mkdir(parents=True)
    (root / "run" / "checkpoint").write_text('model_checkpoint_path: "ckpt-1"\n')
    (root / "run" / "ckpt-2").write_text("x")
    (tmp_path / "outside").symlink_to("nowhere")
    (root / "chain").symlink_to(tmp_path / "outside")
    index = ReferenceIndex(str(root))
    before = index.sweep()
    assert f"{root}/run/ckpt-1" in before.paths
    assert f"{root}/run/ckpt-2" not in before.paths
    change(root)
    after = index.sweep()
    assert f"{root}/run/ckpt-2" in after.paths
    assert after == ReferenceIndex(str(root)).sweep()


@pytest.mark.parametrize("existed", [False, True])
def test_between_sweeps_the_state_file_beside_a_checkpoint_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, existed: bool
) -> None:
    """However long a sweep takes, `checkpoint` of the same directory counts at once."""
    monkeypatch.setattr(reference_index, "_SWEEP_SHARE", 1e9)
    (tmp_path / "ckpt-1").write_text("x")
    if existed:
        (tmp_path / "checkpoint").write_text('model_checkpoint_path: "ckpt-0"\n')
    index = ReferenceIndex(str(tmp_path))
    index.sweep()
    (tmp_path / "checkpoint").write_text('model_checkpoint_path: "ckpt-1"\n')
    (tmp_path / "link").symlink_to("ckpt-2")
    near = index.near(str(tmp_path)).paths
    assert f"{tmp_path}/ckpt-1" in near
    assert f"{tmp_path}/ckpt-2" not in near
    assert f"{tmp_path}/ckpt-2" in index.sweep().paths
