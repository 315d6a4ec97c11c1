"""The metrics of events, one row each: a new one is declared here and counted in `metrics`.

A name stands here exactly as in the documentation, without the prefix `checkpointd_`, and for a
counter without `_total`. A family with the label `watch` disappears with its watch; one
that has no other label starts at 0.
"""

from __future__ import annotations

WORKER_EXITS = {
    "ok": "It did its work.",
    "error": "It ended by itself with an error; what it printed last is in the report.",
    "signal": "It crashed, or somebody outside of checkpointd killed it (the kernel's OOM killer).",
    "timeout": "It was killed, because `[worker] timeout` was over.",
    "protocol": "It was killed, because its answers were not those of a worker.",
    "quota_exceeded": "It was killed, because of the threads it started or the files it wrote.",
    "out_of_memory": "It was killed, because it used more memory than `[worker] memory` allows.",
    "lost": "The interpreter that had started it ended, and it with it: crashed, killed, or "
    "restarted with the daemon's own workers.",
    "not_started": "No interpreter could be started to run it: the status says why.",
    "other": "Anything else.",
}
"""What each value of `worker_exits_total`'s label means."""

TRASH_DELETIONS = ("early", "expired")
"""Every value of `trash_deleted_total`'s label `cause`."""

HOOK_EVENTS = ("on_verdict", "on_valid", "on_hold", "on_pruned")
"""Every value of `hook_runs_total`'s label `event`."""

HOOK_OUTCOMES = ("ok", "failed", "timeout", "given_up")
"""Every value of `hook_runs_total`'s label `outcome`."""

WEB_REFUSALS = ("connections", "host", "password", "request", "time", "tls")
"""Every value of `web_refused_total`'s label."""

COUNTERS: dict[str, tuple[str, tuple[str, ...]]] = {
    "artifacts_discovered": ("Checkpoints seen for the first time.", ("watch", "format")),
    "validations": (
        "Verifications that ended in a verdict.",
        ("watch", "format", "verdict"),
    ),
    "superseded": (
        "Verifications discarded because the checkpoint changed meanwhile.",
        ("watch",),
    ),
    "coalesced": ("Saves that a newer save replaced before they were verified.", ("watch",)),
    "check_failures": ("Checks that failed.", ("watch", "check", "reason")),
    "check_warnings": ("Checks that warned.", ("watch", "check", "reason")),
    "check_errors": ("Checks that could not decide.", ("watch", "check", "reason")),
    "pruned": ("Checkpoints pruned.", ("watch", "rule")),
    "pruned_bytes": ("Bytes of the checkpoints pruned.", ("watch",)),
    "prune_failures": ("Checkpoints that could not be pruned, each counted once.", ("watch",)),
    "hook_runs": ("Runs of hooks, by how they ended.", ("watch", "event", "outcome")),
    "trash_deleted": (
        "Checkpoints deleted from the trash for good; early: the disk was nearly full.",
        ("watch", "cause"),
    ),
    "replicated": ("Checkpoints copied to a bucket and read back.", ("watch",)),
    "replicated_bytes": ("Bytes of the checkpoints copied to a bucket.", ("watch",)),
    "replication_failures": ("Times that a copy to a bucket failed.", ("watch",)),
    "watch_overflows": ("Times the kernel dropped events; a scan followed each.", ("watch",)),
    "watch_restarts": (
        "Times the observer of file events stopped unexpectedly and was restarted.",
        ("watch",),
    ),
    "list_pages": ("Requests for a page of the listing of a bucket.", ("watch",)),
    "scrubs": ("Valid checkpoints read again and found unchanged.", ("watch",)),
    "worker_exits": ("Worker processes that ended.", ("cause",)),
    "web_refused": ("Connections and requests over TCP that were refused.", ("cause",)),
}
"""Help text and labels of each counter, by its name."""

HISTOGRAMS: dict[str, tuple[str, tuple[str, ...], tuple[float, ...]]] = {
    "validation_duration_seconds": (
        "Time a verification took.",
        ("format",),
        (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800),
    ),
    "check_duration_seconds": (
        "Time a check took.",
        ("check",),
        (0.001, 0.01, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800),
    ),
    "check_memory_bytes": (
        "Most memory that a worker was seen to use during a check.",
        ("check",),
        tuple(float(1 << exponent) for exponent in range(26, 38)),
    ),
    "reconcile_duration_seconds": (
        "Time a scan of a watch took.",
        ("watch",),
        (0.001, 0.01, 0.1, 0.5, 1, 5, 10, 60),
    ),
}
"""Help text, labels and upper bounds of the buckets of each histogram."""

GAUGES: dict[str, tuple[str, tuple[str, ...]]] = {
    "last_reconcile_timestamp_seconds": ("When a scan of the watch last ended.", ("watch",)),
    "config_last_reload_successful": ("Whether the last reload of the config succeeded.", ()),
    "config_last_reload_success_timestamp_seconds": ("When the config was last loaded.", ()),
}
"""Help text and labels of each gauge that is set by an event; `gauges` has the others."""
