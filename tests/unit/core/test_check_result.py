"""Results of checks."""

from __future__ import annotations

import pytest

from checkpointd.core.check_result import failed


def test_a_check_cannot_give_a_reason_that_is_not_in_the_list() -> None:
    """The list of reasons is closed."""
    with pytest.raises(KeyError):
        failed("load", "bad_mood", "x.")
