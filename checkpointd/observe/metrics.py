"""What Prometheus scrapes: counters and histograms of events, and gauges from a snapshot.

No label ever holds a path, a step or an error text, so the number of series stays bounded; the
name of a slow checkpoint is in an exemplar instead.
"""

from __future__ import annotations

import importlib.metadata
import itertools
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
from checkpointd.core.reasons.reason import Severity
from checkpointd.core.suite import CHECKS, REASONS
from checkpointd.core.text import printable, utf8
from checkpointd.core.verdict import Verdict
from checkpointd.observe.gauges import GaugeCollector
from checkpointd.observe.metric_specs import (
    COUNTERS,
    GAUGES,
    HISTOGRAMS,
    HOOK_EVENTS,
    HOOK_OUTCOMES,
    TRASH_DELETIONS,
    WEB_REFUSALS,
    WORKER_EXITS,
)
from checkpointd.retention_rules import table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from checkpointd.core.report import Report
    from checkpointd.observe.snapshot import Snapshot

MAX_SERIES = 200
"""Series exposed for each watch."""

_LABEL = re.compile(r"[A-Za-z0-9_.:-]{1,80}")
MAX_USER_REASONS = 20
"""Reasons exposed for each user check; further ones count as other."""

_EXEMPLAR_CHARACTERS = 100
_NO_MEMORY: Mapping[str, int] = {}
_FORMATS = tuple(str(spec.name) for spec in FORMATS)
_COUNTED_AS = {
    Severity.FAIL: ("check_failures",),
    Severity.WARN: ("check_warnings", "check_failures"),  # the latter with `fail_on`
    Severity.ERROR: ("check_errors",),
    Severity.NOTE: (),
}
"""Which counters a reason of each severity can appear in."""

_OUTCOMES = {
    Outcome.FAIL: "check_failures",
    Outcome.WARN: "check_warnings",
    Outcome.ERROR: "check_errors",
}


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
        self._counters = {
            name: Counter(f"checkpointd_{name}", help_, labels, registry=self.registry)
            for name, (help_, labels) in COUNTERS.items()
        }
        self._histograms = {
            name: Histogram(
                f"checkpointd_{name}", help_, labels, registry=self.registry, buckets=buckets
            )
            for name, (help_, labels, buckets) in HISTOGRAMS.items()
        }
        self._gauges = {
            name: Gauge(f"checkpointd_{name}", help_, labels, registry=self.registry)
            for name, (help_, labels) in GAUGES.items()
        }
        self._of_watches = [
            family
            for families, specs in (
                (self._counters, COUNTERS),
                (self._histograms, HISTOGRAMS),
                (self._gauges, GAUGES),
            )
            for name, family in families.items()
            if "watch" in specs[name][1]
        ]
        for cause in WORKER_EXITS:
            self._counters["worker_exits"].labels(cause)
        for cause in WEB_REFUSALS:
            self._counters["web_refused"].labels(cause)
        for fmt in _FORMATS:
            self._histograms["validation_duration_seconds"].labels(fmt)
        for check in CHECKS:
            self._histograms["check_duration_seconds"].labels(check)
            self._histograms["check_memory_bytes"].labels(check)
        self.registry.register(GaugeCollector(snapshot, max_series, _build_info()))
        ProcessCollector(registry=self.registry)

    def watches(self, names: Iterable[str]) -> None:
        """Set the watches of the config: counters of new ones start at 0, others are removed."""
        wanted = set(names)
        for gone in self._watches - wanted:
            for family in self._of_watches:
                family.remove_by_labels({"watch": gone})
        for watch in wanted - self._watches:
            self._begin(watch)
        self._watches = wanted

    def _begin(self, watch: str) -> None:
        """Have every counter of a watch start at 0, so that its first event is an increase."""
        for name, (_, labels) in COUNTERS.items():
            if labels == ("watch",):
                self._counters[name].labels(watch)
        for cause in TRASH_DELETIONS:
            self._counters["trash_deleted"].labels(watch, cause)
        for event, outcome in itertools.product(HOOK_EVENTS, HOOK_OUTCOMES):
            self._counters["hook_runs"].labels(watch, event, outcome)
        for rule in table.removal_labels():
            self._counters["pruned"].labels(watch, rule)
        for fmt in _FORMATS:
            self._counters["artifacts_discovered"].labels(watch, fmt)
        for fmt, verdict in itertools.product(_FORMATS, Verdict):
            self._counters["validations"].labels(watch, fmt, str(verdict))
        for reason, spec in REASONS.items():
            for name in _COUNTED_AS[spec.severity]:
                self._counters[name].labels(watch, reason.partition(".")[0], reason)

    def discovered(self, watch: str, format: str) -> None:
        """Count a checkpoint that was seen for the first time."""
        self._counters["artifacts_discovered"].labels(watch, _bounded(str(format))).inc()

    def reported(self, report: Report) -> None:
        """Count a verification that ended in a verdict, with its checks."""
        watch = report.checkpoint.watch
        fmt = str(report.facts.format)
        if report.facts.format is Format.UNKNOWN:
            fmt = str(report.checkpoint.format)
        self._counters["validations"].labels(watch, fmt, str(report.verdict)).inc()
        tail = printable(report.checkpoint.path)[-_EXEMPLAR_CHARACTERS:]
        self._histograms["validation_duration_seconds"].labels(fmt).observe(
            report.duration_seconds, {"checkpoint": tail}
        )
        for check in report.checks:
            if check.outcome is Outcome.SKIP:
                continue
            name = _bounded(check.name)
            self._histograms["check_duration_seconds"].labels(name).observe(check.duration_seconds)
            counter = _OUTCOMES.get(check.outcome)
            if counter is not None:
                self._counters[counter].labels(watch, name, self._reason(name, check.reason)).inc()

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
        self._counters["superseded"].labels(watch).inc()

    def coalesced(self, watch: str) -> None:
        """Count a save replaced by a newer one before it was verified."""
        self._counters["coalesced"].labels(watch).inc()

    def pruned(self, watch: str, rule: str, bytes: int) -> None:  # noqa: A002 - the unit
        """Count a checkpoint moved to the trash; a rule not in the table counts as other."""
        known = rule if rule in table.removal_labels() else "other"
        self._counters["pruned"].labels(watch, known).inc()
        self._counters["pruned_bytes"].labels(watch).inc(bytes)

    def prune_failed(self, watch: str) -> None:
        """Count a checkpoint that could not be pruned."""
        self._counters["prune_failures"].labels(watch).inc()

    def hook_run(self, watch: str, event: str, outcome: str) -> None:
        """Count a hook that has ended: one of `HOOK_EVENTS` and of `HOOK_OUTCOMES`."""
        self._counters["hook_runs"].labels(watch, event, outcome).inc()

    def replicated(self, watch: str, size_bytes: int) -> None:
        """Count a checkpoint that was copied to a bucket."""
        self._counters["replicated"].labels(watch).inc()
        self._counters["replicated_bytes"].labels(watch).inc(size_bytes)

    def replication_failed(self, watch: str) -> None:
        """Count a copy to a bucket that failed."""
        self._counters["replication_failures"].labels(watch).inc()

    def trash_deleted(self, watch: str, cause: str) -> None:
        """Count a checkpoint deleted from the trash for good: one of `TRASH_DELETIONS`."""
        self._counters["trash_deleted"].labels(watch, cause).inc()

    def worker_exit(self, cause: str, memory: Mapping[str, int] = _NO_MEMORY) -> None:
        """Count a worker process that ended.

        Args:
            cause: one of `WORKER_EXITS`; any other counts as other.
            memory: the most bytes that it was seen to use during each check.
        """
        self._counters["worker_exits"].labels(cause if cause in WORKER_EXITS else "other").inc()
        for check, used in memory.items():
            self._histograms["check_memory_bytes"].labels(_bounded(check)).observe(used)

    def web_refused(self, cause: str) -> None:
        """Count a connection or request over TCP refused for one of `WEB_REFUSALS`."""
        self._counters["web_refused"].labels(cause).inc()

    def overflow(self, watch: str, times: int = 1) -> None:
        """Count how often the kernel dropped events of a watch."""
        self._counters["watch_overflows"].labels(watch).inc(times)

    def restarted(self, watch: str, times: int = 1) -> None:
        """Count restarts of the observer of a watch after it stopped unexpectedly."""
        self._counters["watch_restarts"].labels(watch).inc(times)

    def listed(self, watch: str, pages: int) -> None:
        """Count the requested pages of listings of a bucket."""
        self._counters["list_pages"].labels(watch).inc(pages)

    def scrubbed(self, watch: str) -> None:
        """Count a valid checkpoint read again and found unchanged."""
        self._counters["scrubs"].labels(watch).inc()

    def reconciled(self, watch: str, seconds: float, at: float) -> None:
        """Record a scan of a watch that ended at `at`, in seconds since the epoch."""
        self._histograms["reconcile_duration_seconds"].labels(watch).observe(seconds)
        self._gauges["last_reconcile_timestamp_seconds"].labels(watch).set(at)

    def reload(self, ok: bool, at: float) -> None:
        """Record whether the config could be loaded at `at`, in seconds since the epoch."""
        self._gauges["config_last_reload_successful"].set(float(ok))
        if ok:
            self._gauges["config_last_reload_success_timestamp_seconds"].set(at)

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
