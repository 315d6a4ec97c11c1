"""The dashboard that ships is the one that the code builds."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from checkpointd.observe.monitoring.dashboard import dashboard_json

BUILDER = Path(__file__).parents[4] / ".ci/dashboard"


def test_the_dashboard_that_ships_is_up_to_date() -> None:
    """`make docs` writes it."""
    pytest.importorskip("grafana_foundation_sdk", reason="no grafana-foundation-sdk: NOT checked")
    built = subprocess.run(
        [sys.executable, str(BUILDER), "--print"], capture_output=True, text=True, check=True
    )
    assert built.stdout == dashboard_json()
