"""A directory that others filled is removed, however they filled it, and nothing besides."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from checkpointd.core.remove_tree import remove_tree

if TYPE_CHECKING:
    from pathlib import Path


def test_a_tree_deeper_than_any_path_is_removed(tmp_path: Path) -> None:
    """Three thousand levels with long names: no path names the last, and no recursion ends."""
    root = tmp_path / "scratch"
    root.mkdir()
    at = os.open(root, os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("d" * 200, dir_fd=at)
        with open(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=at), "wb"):
            pass
        below = os.open("d" * 200, os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = below
    os.close(at)
    remove_tree(root)
    assert os.listdir(tmp_path) == []


def test_what_may_not_be_entered_is_removed_and_links_are_not_followed(tmp_path: Path) -> None:
    """Whoever made a directory may have forbidden everything in it, to its owner too."""
    kept = tmp_path / "kept"
    kept.mkdir(mode=0o750)
    (kept / "file").write_text("x", encoding="utf-8")
    root = tmp_path / "scratch"
    (root / "closed" / "inner" / "deep").mkdir(parents=True)
    (root / "link").symlink_to(kept)
    (root / "closed" / "link").symlink_to(kept)
    (root / "closed" / "inner" / "deep" / "link").symlink_to(kept / "file")
    for path in (root / "closed" / "inner" / "deep", root / "closed" / "inner", root / "closed"):
        path.chmod(0)
    root.chmod(0o500)
    remove_tree(root)
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
    assert kept.stat().st_mode & 0o777 == 0o750
    assert (kept / "file").read_text(encoding="utf-8") == "x"


def test_a_link_in_the_place_of_a_tree_is_no_tree(tmp_path: Path) -> None:
    """It is refused, and what it leads to stays as it is."""
    kept = tmp_path / "kept"
    kept.mkdir()
    (tmp_path / "link").symlink_to(kept)
    with pytest.raises(OSError, match="link"):
        remove_tree(tmp_path / "link")
    assert kept.is_dir()
    descriptor = os.open(tmp_path, os.O_RDONLY)
    remove_tree("kept", dir_fd=descriptor)
    os.close(descriptor)
    assert not kept.exists()
