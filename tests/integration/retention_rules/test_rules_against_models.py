"""Every rule against a slow, obvious model of it: more than 10 000 generated series a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.helpers.retention_models import MODELS, compare_with_model

if TYPE_CHECKING:
    from collections.abc import Callable

EXAMPLES = 600


@pytest.mark.slow
def test_each_rule_chooses_what_its_model_chooses(show: Callable[[str], None]) -> None:
    """The same checkpoints, with a reason that names the rule, and the same again afterwards."""
    for name in MODELS:
        compare_with_model(name, EXAMPLES)
    show(
        f"retention rules: {len(MODELS) * EXAMPLES} series, {EXAMPLES} for each of {len(MODELS)} "
        "rules, no difference from their models"
    )
