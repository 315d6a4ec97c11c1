"""The message of `inference` about several signatures."""

from __future__ import annotations

from checkpointd.core.check_result import failed
from checkpointd.verify.load import inference


def test_a_cause_that_several_signatures_share_is_reported_once() -> None:
    """With all their names in front of it; other sentences stay as they are."""
    lacking = [
        failed("inference", "environment", f"{name!r} cannot be run here. There is no kernel.")
        for name in ("predict", "classify")
    ]
    other = failed("inference", "not_run", "'regress' fails on every input made for it.")
    assert inference._together([*lacking, other]) == [
        "'predict', 'classify' cannot be run here. There is no kernel.",
        "'regress' fails on every input made for it.",
    ]
