"""What the dashboard shows: a row for each panel, with its queries.

To add a panel, add it here and run `make docs`; `.ci/dashboard` builds the JSON that ships.
"""

from __future__ import annotations

from typing import NamedTuple

HOST = 'instance=~"$instance"'
WATCH = f'{HOST}, watch=~"$watch"'
BAD = ', state=~"invalid|inconclusive"'
STATES = {
    "valid": "green",
    "invalid": "red",
    "inconclusive": "orange",
    "pending": "blue",
    "writing": "purple",
    "superseded": "text",
}


class Panel(NamedTuple):
    """A panel: `queries` are an expression and the name of its lines each."""

    title: str
    about: str
    unit: str
    queries: tuple[tuple[str, str], ...]
    bad: float | None = None
    """Of a number at the top: red from here on; with `low`, below it."""
    low: bool = False


def of(metric: str, more: str = "", where: str = WATCH) -> str:
    """A metric of the package with the labels that the variables choose."""
    return f"checkpointd_{metric}{{{where}{more}}}"


def per_hour(metric: str, label: str, where: str = WATCH, more: str = "") -> str:
    """How often something is counted in an hour, by a label."""
    return f"3600 * sum by ({label}) (rate({of(metric, more, where)}[$__rate_interval]))"


def p95(metric: str, label: str, where: str = HOST) -> str:
    """What 95 of 100 are below, of a histogram."""
    buckets = f"rate({of(metric + '_bucket', '', where)}[$__rate_interval])"
    return f"histogram_quantile(0.95, sum by (le, {label}) ({buckets}))"


def series(title: str, about: str, unit: str, metric: str) -> Panel:
    """A panel with a line for each series."""
    return Panel(title, about, unit, ((of(metric), "{{watch}} {{series}}"),))


TOP = (
    Panel(
        "Not valid",
        "Series whose newest checkpoint is invalid or inconclusive.",
        "none",
        ((f"count({of('newest_state', BAD)} == 1) or vector(0)", ""),),
        1,
    ),
    Panel(
        "Oldest of the newest valid",
        "The age of the newest valid checkpoint, of the series in which it is oldest.",
        "s",
        ((f"max(time() - {of('newest_valid_timestamp_seconds')})", ""),),
    ),
    Panel(
        "Watches down",
        "Watches whose directory cannot be read.",
        "none",
        ((f"count({of('watch_up')} == 0) or vector(0)", ""),),
        1,
    ),
    Panel(
        "Waiting",
        "Checkpoints that wait for verification.",
        "none",
        ((f"sum({of('queue_length', '', HOST)})", ""),),
        50,
    ),
    Panel(
        "Problems",
        "What needs attention other than verdicts; the status names each.",
        "none",
        ((f"sum({of('problems', '', HOST)})", ""),),
        1,
    ),
    Panel(
        "Least free space",
        "The smallest free share of any file system that is watched.",
        "percentunit",
        ((f"min({of('filesystem_avail_bytes')} / {of('filesystem_size_bytes')})", ""),),
        0.1,
        low=True,
    ),
)
_DAEMONS = of("build_info", "", HOST)

ROWS: dict[str, tuple[Panel, ...]] = {
    "Verdicts": (
        Panel(
            "Age of the newest valid checkpoint",
            "What would be lost if the job died now.",
            "s",
            ((f"time() - {of('newest_valid_timestamp_seconds')}", "{{watch}} {{series}}"),),
        ),
        Panel(
            "Verdicts per hour",
            "",
            "none",
            ((per_hour("validations_total", "verdict"), "{{verdict}}"),),
        ),
        Panel(
            "Failed checks per hour",
            "By reason: `checkpointd explain REASON`.",
            "none",
            ((per_hour("check_failures_total", "reason") + " > 0", "{{reason}}"),),
        ),
        Panel(
            "Warnings and undecided checks per hour",
            "By reason.",
            "none",
            (
                (per_hour("check_warnings_total", "reason") + " > 0", "{{reason}} (warning)"),
                (per_hour("check_errors_total", "reason") + " > 0", "{{reason}} (undecided)"),
            ),
        ),
        Panel(
            "Checkpoints by state",
            "",
            "none",
            ((f"sum by (state) ({of('checkpoints')})", "{{state}}"),),
        ),
        series("Usual time between saves", "Alerts go by it.", "s", "save_interval_seconds"),
    ),
    "Training": (
        series("Step of the newest valid checkpoint", "", "none", "newest_valid_step"),
        Panel(
            "Metrics of the newest checkpoint",
            "Of evaluate, the golden record and the name.",
            "none",
            ((of("evaluation"), "{{series}} {{metric}}"),),
        ),
        series("Norm of the weights", "A jump is a training that diverges.", "none", "weight_norm"),
        series(
            "Change of the weights",
            "Since the last valid checkpoint; 0 is a job that stands still.",
            "percentunit",
            "weight_change_ratio",
        ),
        series("NaN and Inf", "Among the model's weights.", "none", "non_finite_values"),
        series(
            "Difference of predictions",
            "The largest, from the golden outputs.",
            "none",
            "predictions_max_abs_difference",
        ),
    ),
    "Disk": (
        Panel(
            "Free space",
            "And what the trash leaves for the next saves.",
            "bytes",
            (
                (of("filesystem_avail_bytes"), "{{watch}} free"),
                (of("trash_reserve_bytes"), "{{watch}} reserve"),
            ),
        ),
        Panel(
            "Occupied by checkpoints",
            "",
            "bytes",
            (
                (of("retained_bytes"), "{{watch}}"),
                (of("trash_bytes"), "{{watch}} trash"),
                (of("vault_bytes"), "{{watch}} vault"),
            ),
        ),
        Panel(
            "Pruned per hour",
            "By rule.",
            "none",
            ((per_hour("pruned_total", "rule") + " > 0", "{{rule}}"),),
        ),
        Panel(
            "Series on hold",
            "Not pruned, because something is uncertain.",
            "none",
            ((of("prune_held"), "{{watch}} {{reason}}"),),
        ),
        Panel(
            "Deleted from the trash and failures per hour",
            "",
            "none",
            (
                (per_hour("trash_deleted_total", "cause"), "deleted: {{cause}}"),
                (per_hour("prune_failures_total", "watch"), "{{watch}} not pruned"),
            ),
        ),
        Panel(
            "State directory",
            "",
            "bytes",
            (
                (of("state_dir_bytes", "", HOST), "{{instance}}"),
                (of("state_filesystem_avail_bytes", "", HOST), "{{instance}} free"),
            ),
        ),
    ),
    "Copies": (
        Panel(
            "Waiting for a copy",
            "Valid checkpoints that are not copied to the bucket yet; none of them is pruned.",
            "none",
            ((of("replication_waiting"), "{{watch}}"),),
        ),
        Panel(
            "Longest wait for a copy",
            "Of what waits now; no line while nothing does. `NotReplicated` fires after an hour.",
            "s",
            ((f"time() - {of('replication_oldest_timestamp_seconds')}", "{{watch}}"),),
        ),
        Panel(
            "Copied and failed per hour",
            "Each copy was read back. Why one failed is in the status.",
            "none",
            (
                (per_hour("replicated_total", "watch"), "{{watch}} copied"),
                (per_hour("replication_failures_total", "watch") + " > 0", "{{watch}} failed"),
            ),
        ),
        Panel(
            "Bytes copied per second",
            "",
            "Bps",
            (
                (
                    f"sum by (watch) (rate({of('replicated_bytes_total')}[$__rate_interval]))",
                    "{{watch}}",
                ),
            ),
        ),
    ),
    "Daemon": (
        Panel("Queue", "", "none", ((of("queue_length", "", HOST), "{{instance}}"),)),
        Panel(
            "Waiting for",
            "How long the oldest has waited; no line while none does.",
            "s",
            ((f"time() - {of('queue_oldest_timestamp_seconds', '', HOST)}", "{{instance}}"),),
        ),
        Panel(
            "Time of a verification",
            "95 of 100 are shorter.",
            "s",
            ((p95("validation_duration_seconds", "format"), "{{format}}"),),
        ),
        Panel(
            "Time of a check",
            "95 of 100 are shorter.",
            "s",
            ((p95("check_duration_seconds", "check"), "{{check}}"),),
        ),
        Panel(
            "Memory of a check",
            "95 of 100 need less.",
            "bytes",
            (
                (p95("check_memory_bytes", "check"), "{{check}}"),
                (of("worker_memory_limit_bytes", "", HOST), "limit: {{kind}}"),
            ),
        ),
        Panel(
            "Workers that ended early per hour",
            "By cause.",
            "none",
            ((per_hour("worker_exits_total", "cause", HOST, ', cause!="ok"'), "{{cause}}"),),
        ),
        Panel(
            "Time of a scan",
            "95 of 100 are shorter.",
            "s",
            ((p95("reconcile_duration_seconds", "watch", WATCH), "{{watch}}"),),
        ),
        Panel(
            "Hooks per hour", "", "none", ((per_hour("hook_runs_total", "outcome"), "{{outcome}}"),)
        ),
        Panel(
            "Problems",
            "By reason.",
            "none",
            ((of("problems", "", HOST) + " > 0", "{{instance}} {{reason}}"),),
        ),
        Panel(
            "Memory of the daemon",
            "Without its workers.",
            "bytes",
            (
                (
                    f"process_resident_memory_bytes{{{HOST}}} and on (instance) {_DAEMONS}",
                    "{{instance}}",
                ),
            ),
        ),
    ),
}
