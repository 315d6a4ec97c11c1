"""Paths as they are typed."""

from __future__ import annotations

import pytest

from checkpointd.cli.errors import CliError
from checkpointd.cli.workspace import absolute


def test_an_empty_path_is_refused() -> None:
    """A variable of the shell that is not set must not stand for the current directory."""
    with pytest.raises(CliError, match="The path is empty"):
        absolute("")
