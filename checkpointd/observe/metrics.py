"""What Prometheus scrapes: counters and histograms of events, and gauges from a snapshot.

No label ever holds a path, a step or an error text, so the number of series stays bounded; the
name of a slow checkpoint is in an exemplar instead. A metric name appears here or in
`gauges` exactly as in the documentation, without the prefix.
"""

from __future__ import annotations

import importlib.metadata
import platform
import re
from typing import TYPE_CHECKING

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.exposition import choose_encoder

from checkpointd import __version__
from checkpointd.core.check_result import Outcome
from checkpointd.core.format_specs import FORMATS, Format
from checkpointd.core.suite import REASONS
from checkpointd.core.text import printable, utf8
from checkpointd.core.verdict import Verdict
from checkpointd.observe.gauges import GaugeCollector
from checkpointd.retention_rules import table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from checkpointd.core.report import Report
    from checkpointd.observe.snapshot import Snapshot

MAX_SERIES = 200
"""Series exposed for each watch."""

WORKER_EXITS = (
    "ok",
    "error",
    "signal",
    "timeout",
    "protocol",
    "quota_exceeded",
    "out_of_memory",
    "lost",
    "other",
)
"""Every value of `worker_exits_total`'s label."""

WEB_REFUSALS = ("connections", "host", "password", "request", "time", "tls")
"""Every value of `web_refused_total`'s label."""

_VALIDATION_SECONDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800)
_CHECK_SECONDS = (0.001, 0.01, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)
_RECONCILE_SECONDS = (0.001, 0.01, 0.1, 0.5, 1, 5, 10, 60)
_LABEL = re.compile(r"[A-Za-z0-9_.:-]{1,80}")
MAX_USER_REASONS = 20
"""Reasons exposed for each user check; further ones count as other."""

_EXEMPLAR_CHARACTERS = 100
_OUTCOMES = {Outcome.FAIL: "failures", Outcome.WARN: "warnings", Outcome.ERROR: "errors"}


class Metrics:
    """Everything that `/metrics` shows.

    Args:
        snapshot: returns the daemon's state from memory; called at every scrape.
        max_series: series exposed for each watch; `checkpointd_series_dropped` counts the others.
    """

    def __init__(self, snapshot: Callable[[], Snapshot], max_series: int = MAX_SERIES) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # it has no annotations
        self.registry = CollectorRegistry()
        self._watches: set[str] = set()
        self._user_reasons: dict[str, set[str]] = {}
        self._discovered = self._counter(
            "artifacts_discovered", "Checkpoints seen for the first time.", "watch", "format"
        )
        self._validations = self._counter(
            "validations", "Verifications that ended in a verdict.", "watch", "format", "verdict"
        )
        self._superseded = self._counter(
            "superseded",
            "Verifications discarded because the checkpoint changed meanwhile.",
            "watch",
        )
        self._coalesced = self._counter(
            "coalesced", "Saves that a newer save replaced before they were verified.", "watch"
        )
        self._checks = {
            word: self._counter(f"check_{word}", help_, "watch", "check", "reason")
            for word, help_ in (
                ("failures", "Checks that failed."),
                ("warnings", "Checks that warned."),
                ("errors", "Checks that could not decide."),
            )
        }
        self._pruned = self._counter("pruned", "Checkpoints pruned.", "watch", "rule")
        self._pruned_bytes = self._counter(
            "pruned_bytes", "Bytes of the checkpoints pruned.", "watch"
        )
        self._prune_failures = self._counter(
            "prune_failures", "Checkpoints that could not be pruned.", "watch"
        )
        self._overflows = self._counter(
            "watch_overflows", "Times the kernel dropped events; a scan followed each.", "watch"
        )
        self._restarts = self._counter(
            "watch_restarts",
            "Times the observer of file events stopped unexpectedly and was restarted.",
            "watch",
        )
        self._scrubs = self._counter(
            "scrubs", "Valid checkpoints read again and found unchanged.", "watch"
        )
        self._exits = self._counter("worker_exits", "Worker processes that ended.", "cause")
        self._web_refused = self._counter(
            "web_refused", "Connections and requests over TCP that were refused.", "cause"
        )
        self._validation_seconds = self._histogram(
            "validation_duration_seconds",
            "Time a verification took.",
            _VALIDATION_SECONDS,
            "format",
        )
        self._check_seconds = self._histogram(
            "check_duration_seconds", "Time a check took.", _CHECK_SECONDS, "check"
        )
        self._reconcile_seconds = self._histogram(
            "reconcile_duration_seconds",
            "Time a scan of a watch took.",
            _RECONCILE_SECONDS,
            "watch",
        )
        self._reconciled_at = self._gauge(
            "last_reconcile_timestamp_seconds", "When a scan of the watch last ended.", "watch"
        )
        self._reload_ok = self._gauge(
            "config_last_reload_successful", "Whether the last reload of the config succeeded."
        )
        self._reload_at = self._gauge(
            "config_last_reload_success_timestamp_seconds", "When the config was last loaded."
        )
        for cause in WORKER_EXITS:
            self._exits.labels(cause)
        for cause in WEB_REFUSALS:
            self._web_refused.labels(cause)
        for fmt in (str(spec.name) for spec in FORMATS):
            self._validation_seconds.labels(fmt)
        self.registry.register(GaugeCollector(snapshot, max_series, _build_info()))
        ProcessCollector(registry=self.registry)

    def _counter(self, name: str, help_: str, *labels: str) -> Counter:
        return Counter(f"checkpointd_{name}", help_, labels, registry=self.registry)

    def _gauge(self, name: str, help_: str, *labels: str) -> Gauge:
        return Gauge(f"checkpointd_{name}", help_, labels, registry=self.registry)

    def _histogram(
        self, name: str, help_: str, buckets: tuple[float, ...], *labels: str
    ) -> Histogram:
        return Histogram(
            f"checkpointd_{name}", help_, labels, registry=self.registry, buckets=buckets
        )

    def watches(self, names: Iterable[str]) -> None:
        """Set the watches of the config: counters of new ones start at 0, others are removed."""
        wanted = set(names)
        for gone in self._watches - wanted:
            for family in self._of_watches():
                family.remove_by_labels({"watch": gone})
        for watch in wanted - self._watches:
            for fmt in (str(spec.name) for spec in FORMATS):
                for verdict in Verdict:
                    self._validations.labels(watch, fmt, str(verdict))
            for family in (
                self._superseded,
                self._coalesced,
                self._pruned_bytes,
                self._prune_failures,
                self._overflows,
                self._restarts,
                self._scrubs,
            ):
                family.labels(watch)
        self._watches = wanted

    def _of_watches(self) -> tuple[Counter | Gauge | Histogram, ...]:
        return (
            self._discovered,
            self._validations,
            self._superseded,
            self._coalesced,
            *self._checks.values(),
            self._pruned,
            self._pruned_bytes,
            self._prune_failures,
            self._overflows,
            self._restarts,
            self._scrubs,
            self._reconcile_seconds,
            self._reconciled_at,
        )

    def discovered(self, watch: str, format: str) -> None:  # noqa: A002 - the label's name
        """Count a checkpoint that was seen for the first time."""
        self._discovered.labels(watch, _bounded(str(format))).inc()

    def reported(self, report: Report) -> None:
        """Count a verification that ended in a verdict, with its checks."""
        watch = report.checkpoint.watch
        fmt = str(report.facts.format)
        if report.facts.format is Format.UNKNOWN:
            fmt = str(report.checkpoint.format)
        self._validations.labels(watch, fmt, str(report.verdict)).inc()
        tail = printable(report.checkpoint.path)[-_EXEMPLAR_CHARACTERS:]
        self._validation_seconds.labels(fmt).observe(report.duration_seconds, {"checkpoint": tail})
        for check in report.checks:
            if check.outcome is Outcome.SKIP:
                continue
            name = _bounded(check.name)
            self._check_seconds.labels(name).observe(check.duration_seconds)
            word = _OUTCOMES.get(check.outcome)
            if word is not None:
                self._checks[word].labels(watch, name, self._reason(name, check.reason)).inc()

    def _reason(self, name: str, reason: str) -> str:
        """Return a reason as a label; of those that a user check invents, only the first few."""
        if reason in REASONS:
            return reason
        known = self._user_reasons.setdefault(name, set())
        if len(known) < MAX_USER_REASONS:
            known.add(_bounded(reason))
        return reason if reason in known else "other"

    def superseded(self, watch: str) -> None:
        """Count a verification discarded because the checkpoint changed meanwhile."""
        self._superseded.labels(watch).inc()

    def coalesced(self, watch: str) -> None:
        """Count a save replaced by a newer one before it was verified."""
        self._coalesced.labels(watch).inc()

    def pruned(self, watch: str, rule: str, bytes: int) -> None:  # noqa: A002 - the unit
        """Count a checkpoint moved to the trash; a rule not in the table counts as other."""
        known = rule if rule in table.removal_labels() else "other"
        self._pruned.labels(watch, known).inc()
        self._pruned_bytes.labels(watch).inc(bytes)

    def prune_failed(self, watch: str) -> None:
        """Count a checkpoint that could not be pruned."""
        self._prune_failures.labels(watch).inc()

    def worker_exit(self, cause: str) -> None:
        """Count a worker process that ended; a cause not in `WORKER_EXITS` counts as other."""
        self._exits.labels(cause if cause in WORKER_EXITS else "other").inc()

    def web_refused(self, cause: str) -> None:
        """Count a connection or request over TCP refused for one of `WEB_REFUSALS`."""
        self._web_refused.labels(cause).inc()

    def overflow(self, watch: str, times: int = 1) -> None:
        """Count how often the kernel dropped events of a watch."""
        self._overflows.labels(watch).inc(times)

    def restarted(self, watch: str, times: int = 1) -> None:
        """Count restarts of the observer of a watch after it stopped unexpectedly."""
        self._restarts.labels(watch).inc(times)

    def scrubbed(self, watch: str) -> None:
        """Count a valid checkpoint read again and found unchanged."""
        self._scrubs.labels(watch).inc()

    def reconciled(self, watch: str, seconds: float, at: float) -> None:
        """Record a scan of a watch that ended at `at`, in seconds since the epoch."""
        self._reconcile_seconds.labels(watch).observe(seconds)
        self._reconciled_at.labels(watch).set(at)

    def reload(self, ok: bool, at: float) -> None:
        """Record whether the config could be loaded at `at`, in seconds since the epoch."""
        self._reload_ok.set(float(ok))
        if ok:
            self._reload_at.set(at)

    def render(self, accept: str = "") -> tuple[bytes, str]:
        """Write the exposition in the format that an `Accept` header asks for.

        Returns:
            The body and its content type: Prometheus text, or OpenMetrics with exemplars.
        """
        try:
            encode, content_type = choose_encoder(accept)
        except (ValueError, TypeError):  # a header with an invalid version
            encode, content_type = choose_encoder("")
        return encode(self.registry), content_type


def _bounded(label: str) -> str:
    """Return a label, or `other` for one that a user check made too long or unusual."""
    return label if _LABEL.fullmatch(label) else "other"


def _build_info() -> dict[str, str]:
    tensorflow = ""
    for name in ("tensorflow", "tensorflow-cpu"):
        try:
            tensorflow = importlib.metadata.version(name)
            break
        except importlib.metadata.PackageNotFoundError:
            continue
    return {
        "version": utf8(__version__),
        "python": platform.python_version(),
        "tensorflow": tensorflow,
    }
