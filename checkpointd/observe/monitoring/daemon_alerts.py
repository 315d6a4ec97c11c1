"""Alerts about the daemon itself: its process, workers, config, web server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from checkpointd.observe import problems
from checkpointd.observe.monitoring.alert import CRITICAL, DAY, INFO, WARNING, Alert

if TYPE_CHECKING:
    from collections.abc import Iterator

    from checkpointd.observe.monitoring.alert import RuleSettings

_ALERTED_ELSEWHERE = (
    problems.WATCH_DOWN,
    problems.PRUNE_REFUSED,
    problems.DISK_SPACE,
    problems.HOOK,
    problems.SANDBOX,
    problems.WEB,
    problems.CONFIG,  # a person sees it with `config check`; it would stay for ever
)


def alerts(settings: RuleSettings) -> Iterator[Alert]:
    """Yield every alert about the daemon."""
    job = f'job="{settings.job}"'
    yield Alert(
        "Down",
        f"up{{{job}}} == 0\nor\nabsent(up{{{job}}})",
        "5m",
        CRITICAL,
        "checkpointd{{ with $labels.instance }} on {{ . }}{{ end }} is down",
        "Prometheus has not reached it for 5 minutes. Nothing is verified or pruned; training is "
        "not affected.",
        "The daemon is down",
        "the daemon is down, or Prometheus cannot reach it",
    )
    yield Alert(
        "Restarting",
        f"changes(process_start_time_seconds{{{job}}}[1h]) > 3",
        "0m",
        WARNING,
        "checkpointd on {{ $labels.instance }} restarts again and again",
        "It was started {{ $value }} times within an hour.",
        "The daemon is down",
        "the daemon was started more than three times in an hour",
    )
    yield Alert(
        "QueueStuck",
        "time() - checkpointd_queue_oldest_timestamp_seconds > 3600",
        "10m",
        WARNING,
        "Checkpoints on {{ $labels.instance }} wait for verification",
        "One has been waiting for {{ $value | humanizeDuration }}.",
        "Verification is slow",
        "a checkpoint has been waiting for more than an hour: verification cannot keep up",
    )
    yield Alert(
        "WorkerDown",
        "checkpointd_worker_up == 0",
        "10m",
        CRITICAL,
        "The {{ $labels.kind }} worker on {{ $labels.instance }} cannot be started",
        "Checkpoints stay without a verdict. `checkpointd status` says why it cannot be started.",
        "Workers end early",
        "workers of a kind cannot be started: checkpoints stay without a verdict",
    )
    yield Alert(
        "WorkerDying",
        'increase(\n  checkpointd_worker_exits_total{cause!~"ok|timeout|out_of_memory"}[1h]\n) > 3',
        "0m",
        WARNING,
        "Workers on {{ $labels.instance }} end early ({{ $labels.cause }})",
        "{{ $value | humanize }} within an hour ended with the cause {{ $labels.cause }}.",
        "Workers end early",
        "more than three workers in an hour crashed, were killed or could not be started",
    )
    yield Alert(
        "ReloadFailed",
        "checkpointd_config_last_reload_successful == 0",
        "5m",
        WARNING,
        "checkpointd on {{ $labels.instance }} could not load its new config",
        "The old config stays in use. A restart would fail. `checkpointd config check` lists the "
        "errors.",
        "A reload failed",
        "a reload failed, the old config is still in use",
    )
    yield Alert(
        "SandboxOff",
        "checkpointd_sandbox_in_force == 0",
        "10m",
        WARNING,
        "{{ $labels.layer }} is not in force on {{ $labels.instance }}",
        'With sandbox = "enforce" no model is loaded; with "best-effort" models are loaded with '
        "less protection.",
        "Nothing is loaded",
        "this kernel cannot sandbox the load worker: under `enforce` nothing is loaded",
    )
    yield Alert(
        "CertExpiry",
        f"checkpointd_tls_certificate_not_after_timestamp_seconds - time() < {7 * DAY}",
        "1h",
        WARNING,
        "The certificate of checkpointd on {{ $labels.instance }} expires soon",
        "It is valid for {{ $value | humanizeDuration }} more; then this alert cannot be scraped "
        "any longer.",
        "A web file is broken",
        "the certificate expires within a week",
    )
    yield Alert(
        "WebFileBroken",
        "checkpointd_web_files_last_reload_successful == 0",
        "5m",
        WARNING,
        "A certificate or password file on {{ $labels.instance }} cannot be used",
        "What was loaded before stays in use. `checkpointd status` names the file.",
        "A web file is broken",
        "a new certificate or password file is broken, the old one is still in use",
    )
    yield Alert(
        "PasswordsRefused",
        'increase(checkpointd_web_refused_total{cause="password"}[1h]) > 10',
        "0m",
        WARNING,
        "{{ $labels.instance }} refuses passwords",
        "{{ $value | humanize }} within an hour: somebody guesses, or a scraper has an old one. "
        "The log names the address.",
        "Passwords are refused",
        "somebody is guessing passwords, or a scraper has an old one",
    )
    yield Alert(
        "StateDiskFull",
        "checkpointd_state_filesystem_avail_bytes < 1e9\n"
        "and\n"
        "checkpointd_state_filesystem_avail_bytes\n"
        "  < 0.1 * checkpointd_state_filesystem_size_bytes\n"
        "or\n"
        f"predict_linear(checkpointd_state_filesystem_avail_bytes[6h], {DAY}) < 0\n"
        "and\n"
        "checkpointd_state_filesystem_avail_bytes\n"
        "  < 0.2 * checkpointd_state_filesystem_size_bytes\n"
        "and\n"
        "checkpointd_state_filesystem_avail_bytes offset 1h",
        "30m",
        CRITICAL,
        "The disk of state_dir on {{ $labels.instance }} fills up",
        "{{ if lt $value 0.0 }}At the rate of the last hours it is full within a day."
        "{{ else }}Only {{ $value | humanize1024 }}B are free.{{ end }} Once it is full no verdict "
        "can be recorded.",
        "The ledger cannot be written",
        "the disk of `state_dir` is nearly full (less than 1 GB), or will be within a day",
    )
    listed = "|".join(_ALERTED_ELSEWHERE)
    yield Alert(
        "Problem",
        f'checkpointd_problems{{reason!~"{listed}"}} > 0',
        "30m",
        WARNING,
        "checkpointd on {{ $labels.instance }} has a problem ({{ $labels.reason }})",
        "`checkpointd status` on that host has the sentence about it.",
        "A problem in the status",
        "a problem that has no alert of its own: the label `reason` names it",
    )
    yield Alert(
        "WatchTakenOut",
        "(checkpointd_watch_up offset 1h unless checkpointd_watch_up)\n"
        f"and on (job, instance) up{{{job}}} == 1",
        "5m",
        INFO,
        "The watch {{ $labels.watch }} on {{ $labels.instance }} is gone from the config",
        "Nothing is verified or pruned there any more, and no other alert is about it. Ends by "
        "itself after an hour.",
        "A watch was taken out",
        "a watch was in the config an hour ago and is not any more",
    )
