"""The alert rules, tried by Prometheus's own `promtool`: when each fires and when it does not."""

from __future__ import annotations

import json
import subprocess
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import pytest

from checkpointd.observe.monitoring.alert import RuleSettings
from checkpointd.observe.monitoring.rules import all_alerts, groups, rules
from tests.prometheus.daemon_scenes import DAEMON
from tests.prometheus.programs import PROMTOOL
from tests.prometheus.series_scenes import SERIES
from tests.prometheus.watch_scenes import WATCHES

if TYPE_CHECKING:
    from pathlib import Path

    from tests.prometheus.alert_scene import Scene

SETTINGS = RuleSettings(intervals={"strict": 7200, "o'dd.\"na\\me": 60})
SCENES = [*DAEMON, *WATCHES, *SERIES]
LABELS = {"NoValidCheckpoint": "cause, watch, series"}

pytestmark = pytest.mark.skipif(PROMTOOL is None, reason="no promtool (Debian): NOT checked")


def _run(*arguments: str) -> str:
    """Run promtool; return what it printed if it failed."""
    assert PROMTOOL is not None
    done = subprocess.run(
        [PROMTOOL, *arguments], capture_output=True, text=True, check=False, timeout=120
    )
    return done.stdout + done.stderr if done.returncode else ""


def _scene(scene: Scene) -> dict[str, Any]:
    labels = LABELS.get(scene.alert, "instance, watch, series, reason, kind, layer")
    if scene.alert == "WorkerDying":
        labels = "instance, cause"
    fires = f'ALERTS{{alertname="Checkpointd{scene.alert}", alertstate="firing"}}'
    return {
        "name": f"{scene.alert}: {scene.what}",
        "interval": "1m",
        "input_series": [
            {"series": series, "values": values} for series, values in scene.series.items()
        ],
        "promql_expr_test": [
            {
                "expr": f"group by ({labels}) ({fires})",
                "eval_time": scene.at,
                "exp_samples": [{"labels": one, "value": 1} for one in scene.fires],
            }
        ],
    }


def test_each_alert_fires_when_it_should_and_is_silent_when_not(tmp_path: Path) -> None:
    """One run of promtool; for each scene only the rules of its group are evaluated."""
    files = []
    for group, alerts in groups(SETTINGS).items():
        (tmp_path / f"{group}.yml").write_text(rules(SETTINGS, group), encoding="utf-8")
        names = {alert.name for alert in alerts}
        scenes = {
            "rule_files": [f"{group}.yml"],
            "evaluation_interval": "1m",
            "tests": [_scene(scene) for scene in SCENES if scene.alert in names],
        }
        files.append(tmp_path / f"{group}.json")
        files[-1].write_text(json.dumps(scenes), encoding="utf-8")
    assert not _run("test", "rules", *map(str, files))


def test_the_rules_are_what_prometheus_reads(tmp_path: Path) -> None:
    """Also for watches with odd names."""
    (tmp_path / "rules.yml").write_text(rules(SETTINGS), encoding="utf-8")
    assert not _run("check", "rules", str(tmp_path / "rules.yml"))


def test_each_alert_has_a_scene_in_which_it_fires_and_one_in_which_it_does_not() -> None:
    """A new alert comes with both."""
    tried = defaultdict(set)
    for scene in SCENES:
        tried[scene.alert].add(bool(scene.fires))
    assert tried == {alert.name: {True, False} for alert in all_alerts()}
    causes = {label for scene in SCENES for label in scene.fires}
    for cause in ("not_valid", "not_saved", "overdue"):
        assert any(f'cause="{cause}"' in label for label in causes)
