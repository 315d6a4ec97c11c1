"""Alerts about checkpoints: whether each series gets valid ones, by its own save interval.

Every alert is about one series where that is possible: the newest of many jobs hides no dead one.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from checkpointd.core.text import duration
from checkpointd.observe.monitoring.alert import CRITICAL, WARNING, Alert

if TYPE_CHECKING:
    from collections.abc import Iterator

    from checkpointd.observe.monitoring.alert import RuleSettings

_VERSIONED = 'series=~".*[{][}].*"'
_SINGLE = 'series!~".*[{][}].*"'
_LATEST = (
    "checkpointd latest {{ $labels.watch }}{{ with $labels.series }} --series '{{ . }}'{{ end }}"
)


def alerts(settings: RuleSettings) -> Iterator[Alert]:
    """Yield every alert about series."""
    yield from _no_valid(settings)
    yield Alert(
        "NoCheckpointEver",
        "checkpointd_watch_up == 1\n"
        "unless on (job, instance, watch) checkpointd_last_seen_timestamp_seconds",
        "2h",
        WARNING,
        "No checkpoint was ever seen in {{ $labels.watch }} on {{ $labels.instance }}",
        "The directory can be read, and holds nothing that is a checkpoint: is `path` the one "
        "that the job writes to?",
        "No checkpoint at all",
        "a directory can be read, and no checkpoint was ever seen in it",
    )
    yield Alert(
        "NewestInvalid",
        _last_verdict("invalid"),
        "5m",
        WARNING,
        "The newest checkpoint of {{ $labels.series }} in {{ $labels.watch }} is invalid",
        f"`checkpointd list {{{{ $labels.watch }}}} --state invalid` shows it, `{_LATEST}` what to "
        "resume from.",
        "An invalid checkpoint",
        "the newest checkpoint of a series is bad",
    )
    yield Alert(
        "NonFinite",
        "checkpointd_non_finite_values > 0\n"
        "or\n"
        "sum without (check, reason) (\n"
        '  increase(checkpointd_check_failures_total{reason=~"finite.nan|finite.inf"}[1h])\n'
        ") > 0\n"
        "  unless on (job, instance, watch) checkpointd_non_finite_values > 0",
        "0m",
        CRITICAL,
        "NaN or Inf in the weights of {{ with $labels.series }}{{ . }} in {{ end }}"
        "{{ $labels.watch }}",
        "The job trains on with numbers that are lost. Stop it, and resume from what "
        f"`{_LATEST}` prints.",
        "NaN or Inf in the weights",
        "weights are NaN or infinite, now or in the last hour",
    )
    yield Alert(
        "Inconclusive",
        _last_verdict("inconclusive"),
        "30m",
        WARNING,
        "The newest checkpoint of {{ $labels.series }} in {{ $labels.watch }} could not be judged",
        "It is neither good nor bad: something on this machine is missing. `checkpointd list "
        "{{ $labels.watch }} --state inconclusive` names the reason.",
        "Inconclusive verdicts",
        "the newest checkpoint of a series could not be judged for half an hour",
    )
    yield Alert(
        "WritingStuck",
        'checkpointd_newest_state{state="writing"} == 1',
        "1h",
        WARNING,
        "A save of {{ $labels.series }} in {{ $labels.watch }} does not finish",
        "It has been written to for an hour. `checkpointd list {{ $labels.watch }} --state "
        "writing` shows it.",
        "A save does not finish",
        "a save has not been finished for an hour",
    )
    yield Alert(
        "Drift",
        'increase(checkpointd_check_warnings_total{check="drift"}[1h]) > 0',
        "0m",
        WARNING,
        "Weights in {{ $labels.watch }} on {{ $labels.instance }} drift ({{ $labels.reason }})",
        "checkpointd_weight_norm and checkpointd_weight_change_ratio show when it began; "
        "`checkpointd explain {{ $labels.reason }}`.",
        "The weights drift",
        "weights explode, die or stand still",
    )
    yield Alert(
        "ClockAhead",
        "checkpointd_last_valid_timestamp_seconds > time() + 300\n"
        "or\n"
        "checkpointd_newest_timestamp_seconds > time() + 300",
        "5m",
        WARNING,
        "Save times of {{ $labels.series }} in {{ $labels.watch }} lie in the future",
        "Until {{ $value | humanizeTimestamp }} nobody can tell by them whether the job still "
        "saves.",
        "A clock is ahead",
        "save times lie in the future, so that a job that stops is noticed late",
    )


def _last_verdict(state: str) -> str:
    """The newest checkpoint is in a state, or was until the save that has no verdict yet.

    Without the second part each save would restart the alert's `for`, and a job that saves
    more often than that would never raise it.
    """
    of_series = "on (job, instance, watch, series)"
    return (
        f'checkpointd_newest_state{{state="{state}"}} == 1\n'
        "or\n"
        f'max_over_time(checkpointd_newest_state{{state="{state}"}}[10m]) == 1\n'
        f"  and {of_series}\n"
        '    checkpointd_newest_state{state=~"writing|pending|superseded"} == 1\n'
        f"  unless {of_series} (\n"
        f"    {_last_time('valid')}\n"
        f"      > {of_series}\n"
        f"    {_last_time(state)}\n"
        "  )"
    )


def _last_time(state: str) -> str:
    """When the newest checkpoint was last seen in a state."""
    return f'max_over_time((timestamp(checkpointd_newest_state{{state="{state}"}} == 1))[10m:15s])'


def _no_valid(settings: RuleSettings) -> Iterator[Alert]:
    recent = f"and checkpointd_newest_timestamp_seconds > time() - {settings.ended_after:.0f}"
    yield Alert(
        "NoValidCheckpoint",
        "(\n"
        "  checkpointd_newest_timestamp_seconds - checkpointd_last_valid_timestamp_seconds\n"
        "    > clamp_min(3 * checkpointd_save_interval_seconds, 900)\n"
        ")\n"
        "and ignoring (state)\n"
        '  max_over_time(checkpointd_newest_state{state=~"invalid|inconclusive"}[30m]) == 1\n'
        f"{recent}",
        "10m",
        CRITICAL,
        "{{ $labels.series }} in {{ $labels.watch }} is saved, and not valid any more",
        "Several saves in a row are not valid. Resume from what "
        f"`{_LATEST}` prints, and look at the job.",
        "No valid checkpoint",
        "a series is saved, but several saves in a row are not valid",
        cause="not_valid",
    )
    others = "|".join(map(re.escape, settings.intervals))
    outside = f", watch!~{json.dumps(others)}" if others else ""
    stopped = (
        "`checkpointd list {{ $labels.watch }}` shows the last one. If the job has ended as it "
        f"should, silence this series; it ends by itself {duration(settings.ended_after)} after "
        "the last save."
    )
    yield Alert(
        "NoValidCheckpoint",
        "(\n"
        f"  time() - checkpointd_newest_timestamp_seconds{{{_VERSIONED}{outside}}}\n"
        "    > clamp_min(3 * checkpointd_save_interval_seconds, 1800)\n"
        "or\n"
        f"  time() - checkpointd_newest_timestamp_seconds{{{_SINGLE}{outside}}}\n"
        "    > clamp_min(12 * checkpointd_save_interval_seconds, 21600)\n"
        "or\n"
        f"  time() - checkpointd_newest_timestamp_seconds{{{_VERSIONED}{outside}}} > 21600\n"
        "    unless checkpointd_save_interval_seconds\n"
        ")\n"
        f"{recent}",
        "5m",
        WARNING,
        "{{ $labels.series }} in {{ $labels.watch }} is not saved any more",
        "The last save was {{ $value | humanizeDuration }} ago, much longer than usual: has the "
        f"job died? {stopped}",
        "No valid checkpoint",
        "nothing was saved in a series for much longer than usual: the job died, or has ended",
        cause="not_saved",
    )
    for watch, seconds in settings.intervals.items():
        yield _overdue(watch, seconds, recent, stopped)


def _overdue(watch: str, seconds: float, recent: str, stopped: str) -> Alert:
    name = f"watch={json.dumps(watch)}"
    return Alert(
        "NoValidCheckpoint",
        "time() - (\n"
        f"  checkpointd_last_valid_timestamp_seconds{{{name}}} != 0\n"
        f"  or checkpointd_last_seen_timestamp_seconds{{{name}}}\n"
        f") > {seconds:.0f}\n"
        f"{recent}",
        "5m",
        CRITICAL,
        "No valid checkpoint of {{ $labels.series }} in {{ $labels.watch }}",
        f"For {{{{ $value | humanizeDuration }}}}, where {duration(seconds)} are allowed. "
        f"{stopped}",
        "No valid checkpoint",
        "with `--watch`: no valid checkpoint of a series within the time that was named",
        cause="overdue",
    )
