"""A real Prometheus scrapes a real daemon over TLS, with a password and with certificates."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import socket
import ssl
import subprocess
import time
import urllib.parse
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from checkpointd.observe.monitoring.alert import RuleSettings
from checkpointd.observe.monitoring.dashboard import dashboard_json
from checkpointd.observe.monitoring.rules import all_alerts, rules
from tests.helpers.daemon import Daemon, daemon_in, eventually
from tests.helpers.scan import write_weights
from tests.helpers.tls import Pair, needs_openssl, pair
from tests.prometheus.programs import PROMETHEUS, PROMTOOL

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [
    needs_openssl,
    pytest.mark.skipif(PROMETHEUS is None, reason="no prometheus (Debian): NOT checked"),
]

_DAEMON = """
[daemon]
state_dir = "state"
log_format = "json"

[web]
listen = "127.0.0.1:0"
basic_auth = { username = "prometheus", password_file = "web.password" }

[web.tls]
cert_file = "web.crt"
key_file = "web.key"

[[watch]]
name = "runs"
path = "runs"
version = "ckpt-{epoch:02d}-{val_loss:.2f}.weights.h5"

[watch.verify]
skip = ["load", "signatures", "inference", "predictions", "resume"]
"""

_PROMETHEUS = """
global: {{ scrape_interval: 500ms, scrape_timeout: 500ms, evaluation_interval: 1s }}
rule_files: [{home}/rules.yml]
scrape_configs:
  - job_name: password
    scheme: https
    tls_config: {{ ca_file: {home}/ca.crt }}
    basic_auth: {{ username: prometheus, password_file: {home}/web.password }}
    static_configs: [{{ targets: ["127.0.0.1:{port}"] }}]
  - job_name: certificate
    scheme: https
    tls_config:
      ca_file: {home}/ca.crt
      cert_file: {home}/client.crt
      key_file: {home}/client.key
    basic_auth: {{ username: prometheus, password_file: {home}/web.password }}
    static_configs: [{{ targets: ["127.0.0.1:{port}"] }}]
  - job_name: stranger
    scheme: https
    tls_config: {{ ca_file: {home}/ca.crt }}
    static_configs: [{{ targets: ["127.0.0.1:{port}"] }}]
"""


RULES = RuleSettings(job="certificate", intervals={"runs": 3600})

ABSENT = {
    "checkpointd_queue_oldest_timestamp_seconds",  # nothing waits
    "checkpointd_prune_held",  # nothing is on hold
    "checkpointd_replication_oldest_timestamp_seconds",  # nothing waits to be copied
}
"""Metrics of alerts that a daemon without any trouble does not export."""

EMPTY_PANELS = {
    "check_errors_total",  # shown where there are some
    "predictions_max_abs_difference",  # nothing is loaded
    "prune_held",  # nothing is on hold
    "pruned_total",  # nothing is pruned
    "queue_oldest_timestamp_seconds",  # nothing waits
    "replication_failures_total",  # shown where there are some
    "replication_oldest_timestamp_seconds",  # nothing is copied
    "replication_waiting",  # the same
    "vault_bytes",  # there is no vault
}
"""The first metric of each query that gives nothing here, and why."""

MAY_BE_EMPTY = {
    "check_warnings_total",  # drift warns or not, by which was verified first
    "problems",  # whether there is one depends on which test ran first
    "weight_change_ratio",  # the newest is NaN
}


@dataclass(frozen=True)
class Scene:
    """The daemon and the Prometheus that scrapes it, and the CA of everything."""

    daemon: Daemon
    url: str
    ca: Pair

    def ask(self, question: str, **parameters: str) -> Any:
        """The data of an answer of the API."""
        asked = urllib.parse.urlencode(parameters)
        with urllib.request.urlopen(f"{self.url}/api/v1/{question}?{asked}", timeout=60) as answer:
            return json.load(answer)["data"]

    def result(self, query: str) -> list[Any]:
        """What a query gives now."""
        found: list[Any] = self.ask("query", query=query)["result"]
        return found

    def value(self, query: str) -> float | None:
        """What a query gives now; None if nothing, or while Prometheus still starts."""
        try:
            found = self.result(query)
        except OSError:
            return None
        return float(found[0]["value"][1]) if found else None

    def becomes(self, query: str, wanted: float) -> None:
        """Wait until a query gives a value."""
        eventually(f"{query} == {wanted}", lambda: self.value(query) == wanted, 30)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """Both running, made once."""
    home = tmp_path_factory.mktemp("scene")
    ca = pair(home, "ca")
    pair(home, "client", ca)
    pair(home, "web", ca)
    (home / "web.password").write_text("s3cret\n", encoding="utf-8")
    (home / "web.password").chmod(0o600)
    (home / "rules.yml").write_text(rules(RULES), encoding="utf-8")
    (home / "runs").mkdir()
    for number in range(1, 4):
        _save(home, number, number / 7)
    with daemon_in(home, _DAEMON) as daemon:
        daemon.tls = ssl.create_default_context(cafile=str(ca.cert))
        known = base64.b64encode(b"prometheus:s3cret").decode()
        daemon.headers = {"Authorization": f"Basic {known}"}
        daemon.start()
        with _prometheus(home, daemon.url.rpartition(":")[2]) as url:
            yield Scene(daemon, url, ca)


def _save(home: Path, number: int, value: float) -> None:
    """Write one of a series of which one is saved every ten minutes."""
    path = home / f"runs/ckpt-{number:02}-0.{number}0.weights.h5"
    write_weights(path, {"kernel": np.full((4, 4), value, np.float32)})
    saved = time.time() - 600 * (5 - number)
    os.utime(path, (saved, saved))


@contextlib.contextmanager
def _prometheus(home: Path, target: str) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config = home / "prometheus.yml"
    config.write_text(_PROMETHEUS.format(home=home, port=target), encoding="utf-8")
    assert PROMETHEUS is not None
    with (home / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(
            [
                PROMETHEUS,
                f"--config.file={config}",
                f"--storage.tsdb.path={home / 'tsdb'}",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdout=log,
            stderr=log,
        )
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


@pytest.mark.slow
def test_prometheus_scrapes_over_tls_through_a_new_certificate_and_a_reload(scene: Scene) -> None:
    """With the password; after a broken and a new certificate; with a client's own at last."""
    eventually("the first scrape", lambda: scene.value('up{job="password"}') == 1, 30)
    scene.becomes('up{job="stranger"}', 0)
    _new_certificate(scene)
    _client_certificates(scene)


def _new_certificate(scene: Scene) -> None:
    expiry = 'checkpointd_tls_certificate_not_after_timestamp_seconds{job="password"}'
    good = 'checkpointd_web_files_last_reload_successful{job="password"}'
    before, home = scene.value(expiry), scene.daemon.home
    assert before is not None
    (home / "web.crt").write_bytes(b"")
    scene.becomes(good, 0)
    assert "cert_file" in "".join(scene.daemon.status()["problems"])
    pair(home, "new", scene.ca, days=9).copy_to(Pair(home / "web.crt", home / "web.key"))
    scene.becomes(good, 1)
    assert (scene.value(expiry) or 0) > before
    scene.becomes('up{job="password"}', 1)
    assert scene.value('checkpointd_web_refused_total{job="password",cause="password"}') == 0


def _client_certificates(scene: Scene) -> None:
    scene.becomes('up{job="certificate"}', 1)
    config = scene.daemon.config
    config.write_text(_DAEMON.replace("key_file", 'client_ca_file = "nope.crt"\nkey_file'))
    refused = scene.daemon.cli("reload")
    assert refused.returncode == 78
    assert "client_ca_file" in refused.stdout + refused.stderr
    assert "nope.crt does not exist" in refused.stdout + refused.stderr
    config.write_text(_DAEMON.replace("key_file", 'client_ca_file = "ca.crt"\nkey_file'))
    taken = scene.daemon.cli("reload")
    assert taken.returncode == 0, taken.stderr
    assert "restart" not in taken.stdout
    scene.becomes('up{job="password"}', 0)
    began = time.time()
    newest = 'timestamp(checkpointd_web_connections{job="certificate"})'
    eventually("a later scrape", lambda: (scene.value(newest) or 0) > began, 30)
    scene.becomes('up{job="certificate"}', 1)
    output = scene.daemon.cli("status").stdout
    assert "needs a password and a client certificate, certificate until 20" in output


@pytest.mark.slow
@pytest.mark.timeout(300)  # workers get the time that nothing else on the machine needs
def test_every_alert_and_every_panel_is_evaluated_and_finds_its_metrics(scene: Scene) -> None:
    """What finds nothing is named above with the reason; the NaN is an alert."""
    valid = 'checkpointd_checkpoints{job="certificate",state="valid"}'
    eventually("the first verdicts", lambda: scene.value(valid) == 3, 100)
    _save(scene.daemon.home, 4, float("nan"))
    nan = 'checkpointd_non_finite_values{job="certificate"} > 0'
    eventually("the verdict", lambda: scene.value(nan), 100)
    of_watch = 'increase(checkpointd_check_failures_total{reason="finite.nan"}[5m]) > 0'
    eventually("the first NaN of the watch", lambda: scene.value(of_watch), 30)
    eventually("all rules evaluated", lambda: not _rules_that_are_not(scene, "ok"), 30)
    fires = 'ALERTS{alertname="CheckpointdNonFinite", alertstate="firing", series=~".+"}'
    eventually("the alert", lambda: scene.value(fires), 30)
    for alert in scene.ask("alerts")["alerts"]:
        assert "<error" not in "".join(alert["annotations"].values())
    expressions = [alert.expr for alert in all_alerts(RULES)]
    for metric in sorted(set(re.findall(r"\b(?:checkpointd_\w+|up)\b", " ".join(expressions)))):
        assert bool(scene.result(metric)) is (metric not in ABSENT), metric
    panels = json.loads(dashboard_json())["panels"]
    queries = [target["expr"] for panel in panels for target in panel.get("targets", ())]
    assert len(queries) > 30
    empty = set()
    for query in queries:
        asked = query.replace("$instance", ".*").replace("$watch", ".*")
        if not scene.result(asked.replace("$__rate_interval", "5m")):
            empty.add(re.findall(r"checkpointd_(\w+)", query)[0])
    assert empty - MAY_BE_EMPTY == EMPTY_PANELS


def _rules_that_are_not(scene: Scene, health: str) -> list[str]:
    groups = scene.ask("rules")["groups"]
    found = [rule for group in groups for rule in group["rules"]]
    assert len(found) == len(all_alerts(RULES))
    return [str(rule.get("lastError")) for rule in found if rule["health"] != health]


@pytest.mark.skipif(PROMTOOL is None, reason="no promtool (Debian's prometheus): NOT checked")
def test_promtool_has_nothing_against_the_exposition(tmp_path: Path) -> None:
    """Names, units and help texts are as Prometheus' own linter wants them."""
    from tests.unit.observe.test_metrics import filled_metrics

    body, _ = filled_metrics().render()
    assert PROMTOOL is not None
    done = subprocess.run(
        [PROMTOOL, "check", "metrics"], input=body, capture_output=True, check=False, timeout=30
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, b"")
