"""Every rule chooses what a slow, obvious model of it chooses."""

from __future__ import annotations

import pytest

from checkpointd.retention_rules import table
from tests.helpers.retention_models import MODELS, compare_with_model


def test_every_rule_has_a_model() -> None:
    """A new row of the table needs one."""
    assert set(MODELS) == {spec.name for spec in table.RULES}


@pytest.mark.parametrize("name", list(MODELS))
def test_a_rule_chooses_what_its_model_chooses(name: str) -> None:
    """A few series for each; the integration test has 10 000."""
    compare_with_model(name, 15)
