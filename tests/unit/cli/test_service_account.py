"""What the user of the service may do, tried as that user."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from checkpointd.cli.service_account import Account, account_of, denials, own_account, run_as
from checkpointd.core.permissions import MAY_ENTER, MAY_READ, MAY_WRITE
from tests.helpers.strangers import STRANGER, needs_root, public_directory

if TYPE_CHECKING:
    from pathlib import Path

GROUP = 60_124
"""A group that has no name."""


def test_the_account_is_that_of_the_process_else_of_the_state(tmp_path: Path) -> None:
    """A process that is gone, or none, leaves the owner of the directory."""
    assert account_of(tmp_path, os.getpid()).uid == os.geteuid()
    assert account_of(tmp_path, 0) == own_account()
    assert account_of(tmp_path, 2**22 + 1) == own_account()
    assert own_account().is_self


@needs_root
def test_the_process_really_switches_to_the_account() -> None:
    """Also its groups; what fails there is an error here."""
    account = Account(STRANGER, STRANGER, (GROUP,))
    ids = run_as(account, lambda: [os.getuid(), os.getegid(), os.getgroups()])
    assert ids == [STRANGER, STRANGER, [GROUP]]

    def fails() -> None:
        raise SystemExit

    with pytest.raises(OSError, match="nothing could be tested"):
        run_as(account, fails)


@needs_root
def test_what_is_denied_has_a_cure_that_opens_no_more_than_needed() -> None:
    """A group for the service where one may; a directory above the path is only to be passed."""
    with public_directory() as home:
        shared, closed, file = home / "shared", home / "closed", home / "hook"
        for directory in (shared, closed / "root"):
            directory.mkdir(parents=True)
        file.touch()
        file.chmod(0o700)
        os.chown(shared, 0, GROUP)
        shared.chmod(0o750)
        closed.chmod(0o700)
        account = Account(STRANGER, STRANGER, ())
        wants = [
            (str(home), MAY_READ),
            (str(shared), MAY_READ),
            (str(shared), MAY_WRITE),
            (str(closed / "root"), MAY_READ),
            (str(file), MAY_ENTER),
        ]
        granted, by_group, to_write, above, program = denials(account, wants)
        assert granted == ""
        assert f"SupplementaryGroups={GROUP}" in by_group
        user = f"u:{account.name}"
        assert f"setfacl -R -m {user}:rwX -m d:{user}:rwX {shared}`" in to_write
        assert f"setfacl -m {user}:x {closed}`" in above
        assert f"setfacl -m {user}:rx {file}`" in program
        member = Account(STRANGER, STRANGER, (GROUP,))
        assert denials(member, wants[:2]) == ["", ""]
