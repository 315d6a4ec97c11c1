"""Who can reach a path, by its modes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from checkpointd.systemd.permissions import CHANGE, Identity, group_needed, identity, obstacle

if TYPE_CHECKING:
    from pathlib import Path

STRANGER = Identity("nobody", 65534, frozenset({65534}))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A directory that everybody can enter, so far down as the test made it."""
    path = tmp_path / "home" / "runs"
    path.mkdir(parents=True)
    for parent in (path, *path.parents):
        if parent.stat().st_uid == os.geteuid() and parent != parent.parent:
            parent.chmod(parent.stat().st_mode | 0o055)
    return path


def test_what_is_open_to_all_is_no_obstacle(home: Path) -> None:
    """Nor is what is not there yet: the service waits for it."""
    assert obstacle(str(home), STRANGER) == ""
    assert obstacle(str(home / "later"), STRANGER) == ""


def test_a_closed_parent_is_named(home: Path) -> None:
    """With its mode and owner; the links on the way do not matter."""
    home.parent.chmod(0o700)
    link = home.parent.parent / "link"
    link.symlink_to(home)
    for path in (home, link):
        assert f"cannot enter {home.parent} (mode 0700, of " in obstacle(str(path), STRANGER)


def test_pruning_needs_more_than_verifying(home: Path) -> None:
    """The directory itself must be writable."""
    home.chmod(0o755)
    assert obstacle(str(home), STRANGER) == ""
    assert f"cannot use {home} (mode 0755" in obstacle(str(home), STRANGER, CHANGE)


def test_a_group_is_named_only_where_it_helps(home: Path) -> None:
    """Not where everybody may, nor where the group may not; never the group of root."""
    if os.geteuid():
        pytest.skip("only root may give a directory to another group")
    os.chown(home, -1, 1)
    home.chmod(0o755)
    assert group_needed(str(home), STRANGER) == ""
    home.chmod(0o750)
    assert group_needed(str(home), STRANGER) == "daemon"
    assert obstacle(str(home), STRANGER.joined(["daemon"])) == ""
    home.chmod(0o700)
    assert group_needed(str(home), STRANGER) == ""
    os.chown(home, -1, 0)
    home.chmod(0o750)
    assert group_needed(str(home), STRANGER) == ""


def test_a_user_that_does_not_exist_yet_is_anybody() -> None:
    """`install` looks before it makes the user."""
    assert identity("no-such-user") == Identity("no-such-user", -1, frozenset())


def test_a_directory_with_the_sticky_bit_cannot_be_pruned(home: Path) -> None:
    """As /tmp is: everybody may write there, and move only what is theirs."""
    home.chmod(0o1777)
    assert obstacle(str(home), STRANGER) == ""
    assert "has the sticky bit (`chmod -t` it)" in obstacle(str(home), STRANGER, CHANGE)
    assert obstacle(str(home), Identity("owner", os.stat(home).st_uid, frozenset()), CHANGE) == ""
