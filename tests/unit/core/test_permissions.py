"""Which right is missing where access was denied, and how to get it, for a user without rights."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from checkpointd.core.permissions import cure_of_denial, group_name, only_owner, user_name
from tests.helpers.cli import ROOT
from tests.helpers.strangers import STRANGER, needs_root, public_directory

if TYPE_CHECKING:
    from pathlib import Path

GROUP = 60_123
"""A group that has no name."""

ASK = """
import json, sys
from checkpointd.core.permissions import MAY_WRITE, cure_of_denial
print(json.dumps([[cure_of_denial(p), cure_of_denial(p, MAY_WRITE)] for p in sys.argv[1:]]))
"""


def _cures(*paths: Path, groups: str = "--clear-groups") -> list[list[str]]:
    become = ["setpriv", f"--reuid={STRANGER}", f"--regid={STRANGER}", groups]
    done = subprocess.run(
        [*become, sys.executable, "-B", "-c", ASK, *map(str, paths)],
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        env={"PYTHONPATH": str(ROOT)},
    )
    if done.returncode:
        pytest.skip("nobody else can read this working copy")
    found: list[list[str]] = json.loads(done.stdout)
    return found


def test_an_account_without_a_name_is_its_number() -> None:
    """Names are for people; a container may have none."""
    assert user_name(0) == "root"
    assert user_name(4_000_000) == "4000000"
    assert group_name(0) == "root"
    assert group_name(4_000_000) == "4000000"


def test_only_the_owner_is_named_where_no_group_helps() -> None:
    """And sudo is what everybody has heard of."""
    assert only_owner(0) == "Only root may change anything: use sudo."
    assert "use `sudo -u daemon`, or sudo" in only_owner(1)


@needs_root
def test_the_first_directory_that_denies_decides() -> None:
    """A group that may is to be joined; without one only the owner may; write needs more."""
    with public_directory() as home:
        closed, shared, owned = home / "closed", home / "shared", home / "owned"
        for directory in (closed, shared, owned):
            (directory / "inner").mkdir(parents=True)
        closed.chmod(0o700)
        os.chown(shared, 0, GROUP)
        shared.chmod(0o750)
        os.chown(owned, 1, 0)
        owned.chmod(0o700)
        join = f"Join the group {GROUP} (`sudo usermod -aG {GROUP} "
        root = "Only root may: use sudo."
        by_closed, by_shared, by_owned, by_self = _cures(
            closed / "inner/file", shared / "inner", owned / "inner", shared
        )
        assert by_closed == [root, root]
        assert by_shared[0].startswith(join)
        assert by_owned[0] == "Only daemon and root may: use `sudo -u daemon`, or sudo."
        assert by_self[0].startswith(join)
        assert by_self[1] == root, "the group may only read"
        ((read, write),) = _cures(shared / "inner", groups=f"--groups={GROUP}")
        assert (read, write) == ("Use sudo.", root)


def test_what_is_not_denied_by_rights_has_no_other_cure_than_root(tmp_path: Path) -> None:
    """Such as a security module that says no."""
    assert cure_of_denial(tmp_path / "nothing" / "here") == "Use sudo."
