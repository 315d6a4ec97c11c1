"""What lies beside the package: nothing that a test or a tool has left there."""

from __future__ import annotations

import subprocess

import pytest

from tests.helpers.cli import ROOT

_EXPECTED = {"checkpointd", "config.toml", "pyproject.toml", "README.md", "systemd", "tests"}
_FOR_TOOLS = {"CHANGELOG.md", "LICENSE", "Makefile"}


def test_the_repository_holds_nothing_else_at_its_top() -> None:
    """The product, and what tools need there; names that begin with a dot are theirs."""
    command = ["git", "-C", str(ROOT), "ls-tree", "--name-only", "HEAD"]
    listed = subprocess.run(command, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("this is no clone")
    names = {name for name in listed.stdout.splitlines() if not name.startswith(".")}
    assert names == _EXPECTED | _FOR_TOOLS
