"""Roots are compared by what they resolve to."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from checkpointd.config import ConfigError, load
from checkpointd.config.same_place import places_of

if TYPE_CHECKING:
    from pathlib import Path


def refused(tmp_path: Path, *roots: Path, state: str = "state") -> str:
    """What is wrong with a config of these roots; empty if nothing is."""
    watches = "".join(
        f'[[watch]]\nname = "w{number}"\npath = "{root}"\n' for number, root in enumerate(roots)
    )
    config = tmp_path / "config.toml"
    config.write_text(f'[daemon]\nstate_dir = "{state}"\n{watches}')
    try:
        load(config)
    except ConfigError as error:
        return str(error)
    return ""


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """A root."""
    (tmp_path / "runs" / "a").mkdir(parents=True)
    (tmp_path / "other").mkdir()
    return tmp_path / "runs"


def test_a_link_to_a_root_or_into_it_is_the_same_root(runs: Path, tmp_path: Path) -> None:
    """In both orders."""
    (tmp_path / "link").symlink_to(runs)
    (tmp_path / "deep").symlink_to(runs / "a")
    for link in (tmp_path / "link", tmp_path / "deep"):
        assert "by a link or a mount" in refused(tmp_path, runs, link)
        assert "by a link or a mount" in refused(tmp_path, link, runs)
    assert refused(tmp_path, runs, tmp_path / "other") == ""


def test_a_state_directory_inside_a_root_by_a_link_is_refused(runs: Path, tmp_path: Path) -> None:
    """The daemon would watch its own files."""
    (tmp_path / "link").symlink_to(runs)
    assert "is inside watch" in refused(tmp_path, runs, state="link/state")


def test_roots_that_do_not_exist_are_compared_by_their_paths(tmp_path: Path) -> None:
    """A root may be waited for."""
    assert refused(tmp_path, tmp_path / "x", tmp_path / "y") == ""
    assert "overlaps" in refused(tmp_path, tmp_path / "x", tmp_path / "x" / "y")


def test_a_bind_mount_is_the_same_place(runs: Path, tmp_path: Path) -> None:
    """Also one of a directory inside a root."""
    bound = tmp_path / "bound"
    bound.mkdir()
    command = ["mount", "--bind", str(runs / "a"), str(bound)]
    if os.geteuid() != 0 or subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("mounting is not permitted here")
    try:
        places = places_of([runs, bound])
        assert places[runs].contains(places[bound])
        assert not places[bound].contains(places[runs])
        assert "by a link or a mount" in refused(tmp_path, runs, bound)
    finally:
        subprocess.run(["umount", str(bound)], check=True)
