"""The dashboard for Grafana, which ships with the package as JSON.

`.ci/dashboard` builds it with Grafana's own library, so that users need nothing of that.
"""

from __future__ import annotations

from importlib.resources import files


def dashboard_json() -> str:
    """Return the dashboard, as Grafana imports it."""
    place = files("checkpointd.observe.monitoring").joinpath("dashboard.json")
    return place.read_text(encoding="utf-8")
