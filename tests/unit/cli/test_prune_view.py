"""What a script learns from `prune --apply`."""

from __future__ import annotations

from typing import Any

import pytest

from checkpointd.cli.errors import FAILED, NOT_BEGUN, OK, REFUSED
from checkpointd.cli.output import merged_holds
from checkpointd.cli.prune_view import exit_code

DONE = {"removals": [{"done": True, "failed": False}]}
KEPT = {"removals": [{"done": True}, {"done": False, "failed": False}]}
BROKEN = {"removals": [{"done": False, "failed": True}]}
SKIPPED = {"skipped": "Left alone.", "removals": []}


@pytest.mark.parametrize(
    ("outcomes", "code"),
    [
        ([], OK),
        ([DONE, {"removals": []}], OK),
        ([DONE, SKIPPED], OK),
        ([SKIPPED, SKIPPED], NOT_BEGUN),
        ([DONE, KEPT], REFUSED),
        ([KEPT, BROKEN], FAILED),
        ([DONE, {"message": "It cannot be pruned.", "failed": True}], FAILED),
    ],
)
def test_the_exit_code_is_the_worst_that_happened(
    outcomes: list[dict[str, Any]], code: int
) -> None:
    """A failure counts more than a refusal, and what was left alone only where nothing was done."""
    assert exit_code(outcomes) == code


def test_holds_for_the_same_cause_are_shown_once() -> None:
    """With how many series they hold, and one of them."""
    holds = [("a/{}", "No metric.", "Correct it."), ("b/{}", "No metric.", "Correct it.")]
    assert merged_holds([*holds, ("c/{}", "Other.", "")]) == [
        ("2 series, such as a/{}", "No metric.", "Correct it."),
        ("c/{}", "Other.", ""),
    ]
