"""Alerts about watches: whether they can be read, their disk, their trash, pruning."""

from __future__ import annotations

from typing import TYPE_CHECKING

from checkpointd.observe.monitoring.alert import CRITICAL, DAY, WARNING, Alert

if TYPE_CHECKING:
    from collections.abc import Iterator

    from checkpointd.observe.monitoring.alert import RuleSettings


def alerts(_settings: RuleSettings) -> Iterator[Alert]:
    """Yield every alert about a watch."""
    yield Alert(
        "WatchDown",
        "checkpointd_watch_up == 0",
        "5m",
        CRITICAL,
        "The watch {{ $labels.watch }} on {{ $labels.instance }} cannot be read",
        "Its directory is missing or not readable, or its disk does not answer. Nothing there is "
        "verified; nothing is treated as deleted.",
        "A watch is down",
        "a directory cannot be read, or its disk does not respond",
    )
    yield Alert(
        "ReconcileStale",
        "time() - checkpointd_last_reconcile_timestamp_seconds\n"
        "  > 1800 + 3 * checkpointd_reconcile_duration_seconds_sum\n"
        "             / checkpointd_reconcile_duration_seconds_count\n"
        "and checkpointd_watch_up == 1",
        "5m",
        WARNING,
        "The watch {{ $labels.watch }} on {{ $labels.instance }} is not scanned",
        "The last scan ended {{ $value | humanizeDuration }} ago.",
        "A watch is not scanned",
        "no scan of a watch has ended for half an hour, and three times as long as one takes",
    )
    yield Alert(
        "EventsLost",
        "increase(checkpointd_watch_overflows_total[1h]) > 10\n"
        "or\n"
        "increase(checkpointd_watch_restarts_total[1h]) > 3",
        "0m",
        WARNING,
        "File events of {{ $labels.watch }} on {{ $labels.instance }} are lost",
        "Scans find what the events do not report, a little later.",
        "File events are lost",
        "the kernel drops events, or their observer keeps stopping; scans find what is missed",
    )
    yield Alert(
        "PruneHeld",
        "checkpointd_prune_held > 0",
        "1h",
        WARNING,
        "Pruning of {{ $labels.watch }} on {{ $labels.instance }} is on hold",
        "{{ $value }} series: {{ $labels.reason }}. `checkpointd status` names each with its cure.",
        "Pruning is on hold",
        "pruning of a series has stopped, because something is uncertain",
    )
    yield Alert(
        "PruneFailing",
        "increase(checkpointd_prune_failures_total[1h]) > 0\n"
        "or\n"
        'checkpointd_problems{reason="prune_refused"} > 0\n'
        "  unless on (job, instance) increase(checkpointd_prune_failures_total[1h]) > 0",
        "0m",
        WARNING,
        "Checkpoints on {{ $labels.instance }} cannot be pruned",
        "`checkpointd status` names one and why it stays.",
        "Pruning fails",
        "pruning is not permitted, or the disk fails",
    )
    yield Alert(
        "DiskFull",
        "checkpointd_filesystem_avail_bytes < checkpointd_trash_reserve_bytes\n"
        "or\n"
        f"predict_linear(checkpointd_filesystem_avail_bytes[6h], {DAY}) < 0\n"
        "and\n"
        "checkpointd_filesystem_avail_bytes < 0.3 * checkpointd_filesystem_size_bytes\n"
        "and\n"
        "checkpointd_filesystem_avail_bytes offset 1h",
        "15m",
        CRITICAL,
        "The disk of {{ $labels.watch }} on {{ $labels.instance }} fills up",
        "{{ if lt $value 0.0 }}At the rate of the last hours it is full within a day."
        "{{ else }}Only {{ $value | humanize1024 }}B are free: less than the next saves and a "
        "reserve may need.{{ end }} Once it is full, saves are cut short.",
        "The disk fills up",
        "the next saves may not fit, or the disk will be full within a day",
    )
    yield Alert(
        "NextSaveDoesNotFit",
        "checkpointd_filesystem_avail_bytes < checkpointd_next_save_bytes",
        "1m",
        CRITICAL,
        "The next save of {{ $labels.watch }} on {{ $labels.instance }} does not fit",
        "{{ $value | humanize1024 }}B are free, and checkpoints there are larger: the next save is "
        "cut short, and with most trainers the job ends. `checkpointd prune` shows what can go.",
        "The disk fills up",
        "less is free than the largest checkpoint needs",
    )
    yield Alert(
        "TrashLarge",
        "checkpointd_trash_bytes > 0.2 * checkpointd_filesystem_size_bytes\n"
        "and\n"
        "checkpointd_filesystem_avail_bytes < 0.2 * checkpointd_filesystem_size_bytes",
        "1h",
        WARNING,
        "The trash of {{ $labels.watch }} on {{ $labels.instance }} is large",
        "{{ $value | humanize1024 }}B of a disk that is nearly full are in the trash.",
        "The disk fills up",
        "the trash takes a fifth of a disk that has less than a fifth free",
    )
    yield Alert(
        "TrashEmptiedEarly",
        'increase(checkpointd_trash_deleted_total{cause="early"}[1h]) > 0',
        "0m",
        WARNING,
        "The trash of {{ $labels.watch }} on {{ $labels.instance }} is emptied early",
        "The disk is nearly full: what was pruned is deleted for good before trash_ttl is over.",
        "The disk fills up",
        "the disk is nearly full: the trash is emptied before `trash_ttl`",
    )
    yield Alert(
        "HookFailing",
        "sum without (outcome) (\n"
        '  increase(checkpointd_hook_runs_total{outcome!="ok"}[1h])\n'
        ") > 0",
        "0m",
        WARNING,
        "A hook of {{ $labels.watch }} on {{ $labels.instance }} fails",
        "{{ $labels.event }}: whoever it notifies hears nothing. `checkpointd status` names the "
        "cause.",
        "A hook fails",
        "a hook fails: whoever it notifies hears nothing",
    )
    yield Alert(
        "NotReplicated",
        "time() - checkpointd_replication_oldest_timestamp_seconds > 3600",
        "5m",
        WARNING,
        "Checkpoints of {{ $labels.watch }} on {{ $labels.instance }} are not copied",
        "The first has been waiting for {{ $value | humanizeDuration }}, and nothing that waits is "
        "pruned. `checkpointd status` names the cause.",
        "Copying to a bucket fails",
        "valid checkpoints wait for their copy in a bucket for more than an hour",
    )
    yield Alert(
        "SeriesDropped",
        "checkpointd_series_dropped > 0 or checkpointd_evaluations_dropped > 0",
        "1h",
        WARNING,
        "Metrics of {{ $labels.watch }} on {{ $labels.instance }} are incomplete",
        "{{ $value }} series or results are left out: no alert can be about them.",
        "Too many series",
        "a watch has more series than are exported: no alert can be about the others",
    )
