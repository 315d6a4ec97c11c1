"""The alert rules as a file for Prometheus.

To add an alert, add its row to one of the modules of alerts; the runbook is a heading of the page
`operations`.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from checkpointd.observe.monitoring import daemon_alerts, series_alerts, watch_alerts
from checkpointd.observe.monitoring.alert import RuleSettings
from checkpointd.observe.problems import anchor

if TYPE_CHECKING:
    from collections.abc import Iterator

    from checkpointd.observe.monitoring.alert import Alert

_GROUPS = {
    "checkpointd": daemon_alerts.alerts,
    "checkpointd-watches": watch_alerts.alerts,
    "checkpointd-series": series_alerts.alerts,
}
_HEAD = """\
# Alert rules for checkpointd, printed by `checkpointd monitoring rules`: name this file under
# rule_files in prometheus.yml. Print it again after an upgrade rather than edit it.
"""


def groups(settings: RuleSettings) -> dict[str, tuple[Alert, ...]]:
    """Return every alert, by the group that it is evaluated in."""
    return {name: tuple(alerts(settings)) for name, alerts in _GROUPS.items()}


def all_alerts(settings: RuleSettings | None = None) -> list[Alert]:
    """Return every alert."""
    return [a for alerts in groups(settings or RuleSettings()).values() for a in alerts]


def rules(settings: RuleSettings, only: str = "") -> str:
    """Return the rules as YAML.

    Args:
        settings: what they are for.
        only: a group; empty for all.
    """
    wanted = {name: alerts for name, alerts in groups(settings).items() if only in {name, ""}}
    return _HEAD + "".join(_lines(settings, wanted))


def _lines(settings: RuleSettings, wanted: dict[str, tuple[Alert, ...]]) -> Iterator[str]:
    yield "groups:\n"
    for group, alerts in wanted.items():
        yield f"  - name: {group}\n    rules:\n"
        for alert in alerts:
            yield f"      - alert: {alert.full_name}\n        expr: |\n"
            for line in alert.expr.splitlines():
                yield f"          {line}\n"
            if alert.wait != "0m":
                yield f"        for: {alert.wait}\n"
            yield f"        labels:\n          severity: {alert.severity}\n"
            if alert.cause:
                yield f"          cause: {alert.cause}\n"
            yield "        annotations:\n"
            for name, text in {
                "summary": alert.summary,
                "description": alert.description,
                "runbook_url": f"{settings.docs_url}operations.md#{anchor(alert.runbook)}",
            }.items():
                yield f"          {name}: {json.dumps(text)}\n"  # a JSON string is one of YAML
