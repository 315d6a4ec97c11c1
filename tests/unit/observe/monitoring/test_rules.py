"""The alert rules against the metrics that there are: a typo would be an alert that never fires."""

from __future__ import annotations

import re
from importlib.resources import files

import pytest
from prometheus_client import ProcessCollector

from checkpointd.core.suite import CHECKS, REASONS
from checkpointd.observe.gauges import NEWEST_STATES
from checkpointd.observe.metric_specs import (
    HOOK_OUTCOMES,
    TRASH_DELETIONS,
    WEB_REFUSALS,
    WORKER_EXITS,
)
from checkpointd.observe.metrics import Metrics
from checkpointd.observe.monitoring.alert import Alert, RuleSettings
from checkpointd.observe.monitoring.dashboard import dashboard_json
from checkpointd.observe.monitoring.rules import all_alerts, rules
from checkpointd.observe.monitoring.scrape_config import scrape_config
from checkpointd.observe.problems import PROBLEMS, anchor
from checkpointd.observe.snapshot import Snapshot, WebSnapshot

ALERTS = all_alerts(RuleSettings(intervals={"resnet": 60}))
RUNBOOKS = {
    anchor(heading)
    for heading in re.findall(
        r"^#+ (.+)$", files("checkpointd").joinpath("docs/operations.md").read_text(), re.MULTILINE
    )
}
VALUES = {
    "cause": {*WEB_REFUSALS, *TRASH_DELETIONS, *WORKER_EXITS},
    "outcome": set(HOOK_OUTCOMES),
    "state": set(NEWEST_STATES),
    "reason": {*REASONS, *PROBLEMS},
    "check": set(CHECKS),
    "job": {"checkpointd"},
}


def metric_names() -> dict[str, tuple[str, ...]]:
    """The labels of each metric, by its name in an expression."""
    web = WebSnapshot(certificate_not_after=0.0, files_good=True)
    found = {"up": ("job", "instance"), "process_start_time_seconds": ()}
    found["process_resident_memory_bytes"] = ()
    for collector in vars(Metrics(lambda: Snapshot(web=web)).registry)["_collector_to_names"]:
        if isinstance(collector, ProcessCollector):
            continue
        for family in collector.collect():
            labels = vars(family).get("_labelnames") or vars(collector).get("_labelnames", ())
            for ending in {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}.get(
                family.type, ("",)
            ):
                found[family.name + ending] = tuple(labels)
    return found


METRICS = metric_names()


def check_expression(expr: str) -> None:
    """Hold that every metric, label and value of an expression exists."""
    names = set(re.findall(r"\b(?:checkpointd|process)_\w+|\bup\b", expr))
    assert names <= set(METRICS), names - set(METRICS)
    assert names
    for metric, selector in re.findall(r"\b(\w+)\{([^}]*)\}", expr.replace("{}", "")):
        for label, quoted in re.findall(r'(\w+)[!=]=?~?"([^"]*)"', selector):
            assert label in {*METRICS[metric], "instance", "job"}, (metric, label)
            if label in VALUES:
                assert set(quoted.split("|")) <= VALUES[label], quoted


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: f"{alert.name}{alert.cause}")
def test_each_alert_is_about_metrics_that_exist(alert: Alert) -> None:
    """And is whole: texts, a severity, a runbook that is shipped."""
    check_expression(alert.expr.replace("[{][}]", ""))
    assert alert.severity in {"critical", "warning", "info"}
    assert anchor(alert.runbook) in RUNBOOKS
    assert alert.description.endswith((".", "?"))
    assert not alert.summary.endswith(".")
    assert alert.meaning
    for label in re.findall(r"\$labels\.(\w+)", alert.summary + alert.description):
        labels = {name for metric in METRICS if metric in alert.expr for name in METRICS[metric]}
        assert label in {*labels, "instance"}, label


@pytest.mark.parametrize("reason", PROBLEMS)
def test_each_problem_has_a_runbook(reason: str) -> None:
    """The heading is shipped, and the sentence is one."""
    assert anchor(PROBLEMS[reason].runbook) in RUNBOOKS
    assert PROBLEMS[reason].summary.endswith(".")


def test_each_panel_is_about_metrics_that_exist() -> None:
    """And is in the JSON that ships."""
    queries = re.findall(r'"expr": "((?:[^"\\]|\\.)*)"', dashboard_json())
    assert len(queries) > 30
    for query in queries:
        check_expression(query.replace('\\"', '"'))


def test_the_job_and_the_intervals_are_in_the_rules() -> None:
    """And a watch with an interval in the config is not judged by its usual one as well."""
    text = rules(RuleSettings(job="verify", intervals={"a.b": 3600}, docs_url="https://x/"))
    assert 'up{job="verify"} == 0' in text
    assert 'watch!~"a\\\\.b"' in text
    assert 'checkpointd_last_valid_timestamp_seconds{watch="a.b"}' in text
    assert "https://x/operations.md#no-valid-checkpoint" in text


def test_the_scrape_config_asks_for_what_the_daemon_asks_for() -> None:
    """TLS, a password and a client certificate, each only where it is needed."""
    plain = scrape_config("checkpointd", "127.0.0.1:9746")
    assert "https" not in plain
    full = scrape_config("c", "gpu1:9746", is_tls=True, needs_password=True, needs_certificate=True)
    for line in ("scheme: https", "ca_file:", "cert_file:", "password_file:", '["gpu1:9746"]'):
        assert line in full
