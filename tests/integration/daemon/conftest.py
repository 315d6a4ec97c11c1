"""What the tests of retention in the daemon have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from checkpointd.daemon import plan_times

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An empty root; the ledger is beside it."""
    (tmp_path / "state").mkdir()
    (tmp_path / "root").mkdir()
    return tmp_path / "root"


@pytest.fixture
def in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rounds follow each other without a pause."""
    monkeypatch.setattr(plan_times, "_PAUSE_SECONDS", 0.01)
