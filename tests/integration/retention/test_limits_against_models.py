"""The limits of size against slow, obvious models of them: more than 10 000 plans a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.helpers.limit_models import compare_limits

if TYPE_CHECKING:
    from collections.abc import Callable

EXAMPLES = 10_000


@pytest.mark.slow
def test_both_limits_choose_what_their_models_choose(show: Callable[[str], None]) -> None:
    """The same stays, and a limit that is not met is reported."""
    compare_limits(EXAMPLES)
    show(
        f"max_total_bytes and prune_defer: {EXAMPLES} lists of decisions each, no difference from "
        "their models"
    )
