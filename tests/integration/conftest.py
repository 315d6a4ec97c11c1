"""What the integration tests share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.helpers.retention import Field

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def field(tmp_path: Path) -> Iterator[Field]:
    """An empty root and ledger."""
    made = Field(tmp_path)
    yield made
    made.ledger.close()
