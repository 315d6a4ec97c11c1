"""When each alert fires and when it does not: scenes for `promtool test rules`.

Time begins at 0, so a save time of -3600 is an hour before the scene. A value is written as
promtool reads it: `1x60` is 1 for 61 minutes, `0+1x60` grows by 1 each minute, `_` is no sample.
"""

from __future__ import annotations

from dataclasses import dataclass, field

HOUR, DAY = 3600, 86400


@dataclass(frozen=True)
class Scene:
    """What was scraped, and which alerts of one name fire at a time, by some of their labels."""

    alert: str
    what: str
    series: dict[str, str]
    at: str
    fires: list[str] = field(default_factory=list)


def _of(name: str, more: str = "", instance: str = "a:1") -> str:
    labels = f'job="checkpointd", instance="{instance}"' + (f", {more}" if more else "")
    return f"{name}{{{labels}}}"


def _c(name: str, more: str = "", instance: str = "a:1") -> str:
    return _of(f"checkpointd_{name}", more, instance)


def _job(
    series: str,
    newest: float,
    last_valid: float,
    every: float | None = 600,
    state: str = "valid",
    minutes: int = 60,
    watch: str = "w",
) -> dict[str, str]:
    """What is exported of one series whose saves have stopped."""
    labels = f'watch="{watch}", series="{series}"'
    found = {
        _c("newest_timestamp_seconds", labels): f"{newest}x{minutes}",
        _c("last_valid_timestamp_seconds", labels): f"{last_valid}x{minutes}",
        _c("last_seen_timestamp_seconds", labels): f"{newest}x{minutes}",
        _c("newest_state", f'{labels}, state="{state}"'): f"1x{minutes}",
    }
    if every is not None:
        found[_c("save_interval_seconds", labels)] = f"{every}x{minutes}"
    return found


def _live(series: str, every: int = 600, minutes: int = 60) -> dict[str, str]:
    """What is exported of one series that is saved all the time, each save valid."""
    found = _job(series, 0, 0, every, minutes=minutes)
    for key in list(found):
        if "timestamp" in key:
            found[key] = f"0+60x{minutes}"
    return found


_W = 'watch="w"'
_SERIES = 'watch="w", series="ckpt-{}"'

DAEMON = [
    Scene("Down", "a scrape fails", {_of("up"): "1x5 0x20"}, "20m", ['{instance="a:1"}']),
    Scene("Down", "the target is gone", {_of("up"): "1x5 stale"}, "30m", ["{}"]),
    Scene("Down", "one scrape failed", {_of("up"): "1x5 0 1x20"}, "8m"),
    Scene(
        "Restarting",
        "it starts each minute",
        {_of("process_start_time_seconds"): "0+60x20"},
        "20m",
        ['{instance="a:1"}'],
    ),
    Scene(
        "Restarting",
        "an upgrade restarts it once, and counters begin at 0 again",
        {
            _of("process_start_time_seconds"): "0x10 700x20",
            _c("check_failures_total", f'{_W}, check="finite", reason="finite.nan"'): "5x10 0x20",
        },
        "20m",
    ),
    Scene(
        "QueueStuck",
        "the oldest waits since the beginning",
        {_c("queue_oldest_timestamp_seconds"): "0x90"},
        "90m",
        ['{instance="a:1"}'],
    ),
    Scene(
        "QueueStuck",
        "each waits five minutes, and sometimes none does",
        {_c("queue_oldest_timestamp_seconds"): "0+60x40 _x10 3000+60x40"},
        "90m",
    ),
    Scene(
        "WorkerDown",
        "the load worker cannot be started",
        {
            _c("worker_up", 'kind="scan"'): "1x30",
            _c("worker_up", 'kind="load"'): "0x30",
        },
        "30m",
        ['{instance="a:1", kind="load"}'],
    ),
    Scene(
        "WorkerDown", "it was for a moment", {_c("worker_up", 'kind="load"'): "1 0x3 1x30"}, "9m"
    ),
    Scene(
        "WorkerDying",
        "the kernel kills one after the other, and the daemon was restarted meanwhile",
        {
            _c("worker_exits_total", 'cause="signal"'): "0 2 4 0 2 4x30",
            _c("worker_exits_total", 'cause="ok"'): "0+9x40",
        },
        "30m",
        ['{cause="signal", instance="a:1"}'],
    ),
    Scene(
        "WorkerDying",
        "two crashed, and time-outs belong to the checkpoint",
        {
            _c("worker_exits_total", 'cause="signal"'): "0 1 2x30",
            _c("worker_exits_total", 'cause="timeout"'): "0+1x30",
        },
        "30m",
    ),
    Scene(
        "ReloadFailed",
        "the config is wrong",
        {_c("config_last_reload_successful"): "1 0x20"},
        "20m",
        ['{instance="a:1"}'],
    ),
    Scene(
        "ReloadFailed",
        "it was corrected at once",
        {_c("config_last_reload_successful"): "1 0x3 1x20"},
        "20m",
    ),
    Scene(
        "SandboxOff",
        "no Landlock",
        {
            _c("sandbox_in_force", 'layer="landlock"'): "0x20",
            _c("sandbox_in_force", 'layer="seccomp"'): "1x20",
        },
        "20m",
        ['{instance="a:1", layer="landlock"}'],
    ),
    Scene("SandboxOff", "no worker has tried yet", {_of("up"): "1x20"}, "20m"),
    Scene(
        "CertExpiry",
        "three days are left",
        {_c("tls_certificate_not_after_timestamp_seconds"): f"{3 * DAY}x90"},
        "90m",
        ['{instance="a:1"}'],
    ),
    Scene(
        "CertExpiry",
        "three months are left",
        {_c("tls_certificate_not_after_timestamp_seconds"): f"{90 * DAY}x90"},
        "90m",
    ),
    Scene(
        "WebFileBroken",
        "an empty certificate file",
        {_c("web_files_last_reload_successful"): "0x20"},
        "20m",
        ['{instance="a:1"}'],
    ),
    Scene(
        "WebFileBroken",
        "a good one, and a daemon without any",
        {_c("web_files_last_reload_successful"): "1x20", _c("web_connections", "", "b:1"): "1x20"},
        "20m",
    ),
    Scene(
        "PasswordsRefused",
        "somebody guesses",
        {_c("web_refused_total", 'cause="password"'): "0+1x30"},
        "30m",
        ['{instance="a:1"}'],
    ),
    Scene(
        "PasswordsRefused",
        "a person mistyped",
        {_c("web_refused_total", 'cause="password"'): "0 1 2x30"},
        "30m",
    ),
    Scene(
        "StateDiskFull",
        "hardly anything is free",
        {
            _c("state_filesystem_avail_bytes"): "5e8x60",
            _c("state_filesystem_size_bytes"): "1e11x60",
        },
        "60m",
        ['{instance="a:1"}'],
    ),
    Scene(
        "StateDiskFull",
        "it fills slowly and has space for weeks",
        {
            _c("state_filesystem_avail_bytes"): "5e10-1e6x60",
            _c("state_filesystem_size_bytes"): "1e11x60",
        },
        "60m",
    ),
    Scene(
        "Problem",
        "the ledger cannot be written",
        {_c("problems", 'reason="ledger"'): "0 1x60"},
        "60m",
        ['{instance="a:1", reason="ledger"}'],
    ),
    Scene(
        "Problem",
        "what has an alert of its own, and a warning about the config",
        {_c("problems", 'reason="watch_down"'): "1x60", _c("problems", 'reason="config"'): "1x60"},
        "60m",
    ),
    Scene(
        "WatchTakenOut",
        "a reload took b out",
        {
            _of("up"): "1x120",
            _c("watch_up", 'watch="a"'): "1x120",
            _c("watch_up", 'watch="b"'): "1x60 stale",
        },
        "80m",
        ['{instance="a:1", watch="b"}'],
    ),
    Scene(
        "WatchTakenOut",
        "the daemon is down: that is another alert",
        {_of("up"): "1x60 0x60", _c("watch_up", 'watch="b"'): "1x60 stale"},
        "80m",
    ),
    Scene(
        "WatchTakenOut",
        "an hour later nobody needs to be told again",
        {_of("up"): "1x200", _c("watch_up", 'watch="b"'): "1x60 stale"},
        "180m",
    ),
]

WATCHES = [
    Scene(
        "WatchDown",
        "one of two cannot be read",
        {_c("watch_up", 'watch="a"'): "1x20", _c("watch_up", 'watch="b"'): "1 0x20"},
        "20m",
        ['{instance="a:1", watch="b"}'],
    ),
    Scene("WatchDown", "a mount is renewed", {_c("watch_up", _W): "1 0x3 1x20"}, "20m"),
    Scene(
        "ReconcileStale",
        "no scan ends",
        {_c("last_reconcile_timestamp_seconds", _W): "0x40", _c("watch_up", _W): "1x40"},
        "40m",
        ['{instance="a:1", watch="w"}'],
    ),
    Scene(
        "ReconcileStale",
        "the watch is down, which is another alert",
        {_c("last_reconcile_timestamp_seconds", _W): "0x40", _c("watch_up", _W): "0x40"},
        "40m",
    ),
    Scene(
        "EventsLost",
        "the kernel's queue overflows",
        {_c("watch_overflows_total", _W): "0+1x40"},
        "40m",
        ['{instance="a:1", watch="w"}'],
    ),
    Scene(
        "EventsLost",
        "once each",
        {_c("watch_overflows_total", _W): "0 1x40", _c("watch_restarts_total", _W): "0 1x40"},
        "40m",
    ),
    Scene(
        "PruneHeld",
        "a series is on hold",
        {_c("prune_held", f'{_W}, reason="invalid_streak"'): "1x90"},
        "90m",
        ['{instance="a:1", reason="invalid_streak", watch="w"}'],
    ),
    Scene(
        "PruneHeld",
        "a hold that ended by itself",
        {_c("prune_held", f'{_W}, reason="unverified"'): "1x30 stale"},
        "90m",
    ),
    Scene(
        "PruneFailing",
        "it begins to fail",
        {_c("prune_failures_total", _W): "0 1x30"},
        "30m",
        ['{instance="a:1", watch="w"}'],
    ),
    Scene(
        "PruneFailing",
        "it failed hours ago and still does, over a restart of the daemon",
        {
            _c("prune_failures_total", _W): "3x60 0x120",
            _c("problems", 'reason="prune_refused"'): "1x180",
        },
        "180m",
        ['{instance="a:1", reason="prune_refused"}'],
    ),
    Scene(
        "PruneFailing",
        "nothing fails",
        {_c("prune_failures_total", _W): "0x60", _c("problems", 'reason="prune_refused"'): "0x60"},
        "60m",
    ),
    Scene(
        "DiskFull",
        "saves fill it within hours",
        {
            _c("filesystem_avail_bytes", _W): "2e11-1e9x60",
            _c("filesystem_size_bytes", _W): "1e12x60",
            _c("trash_reserve_bytes", _W): "1e10x60",
        },
        "60m",
        ['{instance="a:1", watch="w"}'],
    ),
    Scene(
        "DiskFull",
        "it is full already, and no sample says how large it is",
        {
            _c("filesystem_avail_bytes", _W): "1e9x60",
            _c("trash_reserve_bytes", _W): "1e10x60",
        },
        "60m",
        ['{instance="a:1", watch="w"}'],
    ),
    Scene(
        "DiskFull",
        "each save is pruned again",
        {
            _c("filesystem_avail_bytes", _W): "5e11 " + "4e11 5e11 " * 30,
            _c("filesystem_size_bytes", _W): "1e12x60",
            _c("trash_reserve_bytes", _W): "1e10x60",
        },
        "60m",
    ),
    Scene(
        "TrashLarge",
        "a third of a full disk",
        {
            _c("trash_bytes", _W): "3e11x90",
            _c("filesystem_avail_bytes", _W): "1e11x90",
            _c("filesystem_size_bytes", _W): "1e12x90",
        },
        "90m",
        ['{instance="a:1", watch="w"}'],
    ),
    Scene(
        "TrashLarge",
        "the same on an empty disk",
        {
            _c("trash_bytes", _W): "3e11x90",
            _c("filesystem_avail_bytes", _W): "6e11x90",
            _c("filesystem_size_bytes", _W): "1e12x90",
        },
        "90m",
    ),
    Scene(
        "TrashEmptiedEarly",
        "for the next saves",
        {_c("trash_deleted_total", f'{_W}, cause="early"'): "0 1x30"},
        "30m",
        ['{instance="a:1", watch="w"}'],
    ),
    Scene(
        "TrashEmptiedEarly",
        "by age",
        {
            _c("trash_deleted_total", f'{_W}, cause="expired"'): "0+1x30",
            _c("trash_deleted_total", f'{_W}, cause="early"'): "0x30",
        },
        "30m",
    ),
    Scene(
        "HookFailing",
        "the first one",
        {_c("hook_runs_total", f'{_W}, event="on_verdict", outcome="failed"'): "0x5 1x30"},
        "30m",
        ['{instance="a:1", watch="w"}'],
    ),
    Scene(
        "HookFailing",
        "all succeed",
        {
            _c("hook_runs_total", f'{_W}, event="on_verdict", outcome="ok"'): "0+1x30",
            _c("hook_runs_total", f'{_W}, event="on_verdict", outcome="failed"'): "0x30",
        },
        "30m",
    ),
    Scene(
        "SeriesDropped",
        "three are left out",
        {_c("series_dropped", _W): "3x90"},
        "90m",
        ['{instance="a:1", watch="w"}'],
    ),
    Scene("SeriesDropped", "none is", {_c("series_dropped", _W): "0x90"}, "90m"),
]
SERIES = [
    Scene(
        "NoValidCheckpoint",
        "of twenty jobs one has died",
        {
            **{k: v for n in range(19) for k, v in _live(f"job{n}/ckpt-{{}}", minutes=120).items()},
            **_job("dead/ckpt-{}", 0, 0, minutes=120),
        },
        "120m",
        ['{cause="not_saved", series="dead/ckpt-{}", watch="w"}'],
    ),
    Scene(
        "NoValidCheckpoint",
        "of twenty jobs one had died before the daemon came, after a single save",
        {
            **{k: v for n in range(19) for k, v in _live(f"job{n}/ckpt-{{}}").items()},
            **_job("dead/ckpt-{}", -3 * DAY, -3 * DAY, None),
        },
        "60m",
        ['{cause="not_saved", series="dead/ckpt-{}", watch="w"}'],
    ),
    Scene(
        "NoValidCheckpoint",
        "it saves twice a day, and the last save is ten hours old",
        _job("slow/ckpt-{}", -10 * HOUR, -10 * HOUR, 12 * HOUR),
        "60m",
    ),
    Scene(
        "NoValidCheckpoint",
        "it goes on saving, and nothing is valid since an hour",
        _job("ckpt-{}", 0, -1 * HOUR, state="invalid", minutes=25),
        "25m",
        ['{cause="not_valid", series="ckpt-{}", watch="w"}'],
    ),
    Scene(
        "NoValidCheckpoint",
        "its first three saves were invalid",
        _job("ckpt-{}", 0, 0, state="invalid", minutes=25)
        | {_c("newest_timestamp_seconds", _SERIES): f"{2 * HOUR}x25"},
        "25m",
        ['{cause="not_valid", series="ckpt-{}", watch="w"}'],
    ),
    Scene(
        "NoValidCheckpoint",
        "one bad save between good ones",
        _live("ckpt-{}") | {_c("newest_state", f'{_SERIES}, state="invalid"'): "0x20 1x10 0x30"},
        "35m",
    ),
    Scene(
        "NoValidCheckpoint",
        "a job that has ended, a week later",
        _job("done/ckpt-{}", -8 * DAY, -8 * DAY),
        "60m",
    ),
    Scene(
        "NoValidCheckpoint",
        "a job whose checkpoints were moved away",
        {
            _c("last_valid_timestamp_seconds", _SERIES): f"{-2 * DAY}x60",
            _c("last_seen_timestamp_seconds", _SERIES): f"{-2 * DAY}x60",
        },
        "60m",
    ),
    Scene(
        "NoValidCheckpoint",
        "models that are saved once are no jobs",
        _job("resnet50.h5", -2 * DAY, -2 * DAY, None),
        "60m",
    ),
    Scene(
        "NoValidCheckpoint",
        "the best of a job gets rarer",
        _job("best.h5", -4 * HOUR, -4 * HOUR, 900),
        "60m",
    ),
    Scene(
        "NoValidCheckpoint",
        "a new series whose first checkpoint waits for its verdict",
        _job("ckpt-{}", 0, 0, None, "pending"),
        "60m",
    ),
    Scene(
        "NoValidCheckpoint",
        "a watch for which two hours are allowed",
        _job("ckpt-{}", -1 * HOUR, -3 * HOUR, watch="strict", state="inconclusive", every=None),
        "60m",
        ['{cause="overdue", series="ckpt-{}", watch="strict"}'],
    ),
    Scene(
        "NoValidCheckpoint",
        "its own interval counts no more there",
        _job("ckpt-{}", -1 * HOUR, -0.5 * HOUR, watch="strict"),
        "60m",
    ),
    Scene(
        "NoCheckpointEver",
        "the path has a typo",
        {_c("watch_up", 'watch="typo"'): "1x180", **_live("ckpt-{}", minutes=180)}
        | {_c("watch_up", _W): "1x180"},
        "180m",
        ['{instance="a:1", watch="typo"}'],
    ),
    Scene(
        "NoCheckpointEver",
        "all of them are gone again",
        {
            _c("watch_up", _W): "1x180",
            _c("last_seen_timestamp_seconds", _SERIES): "0x180",
        },
        "180m",
    ),
    Scene(
        "NewestInvalid",
        "one of two series",
        _live("a/ckpt-{}") | _job("b/ckpt-{}", 0, 0, state="invalid"),
        "20m",
        ['{instance="a:1", series="b/ckpt-{}", watch="w"}'],
    ),
    Scene("NewestInvalid", "a good one has followed", _live("ckpt-{}"), "60m"),
    Scene(
        "NonFinite",
        "the first NaN of a watch",
        {
            _c("check_failures_total", f'{_W}, check="finite", reason="finite.nan"'): "0x5 1x20",
            _c("check_failures_total", f'{_W}, check="finite", reason="finite.inf"'): "0x25",
        },
        "20m",
        ['{instance="a:1", watch="w"}'],
    ),
    Scene(
        "NonFinite",
        "it was NaN before the first scrape",
        {
            _c("check_failures_total", f'{_W}, check="finite", reason="finite.nan"'): "1x200",
            _c("non_finite_values", _SERIES): "96x200",
        },
        "180m",
        ['{instance="a:1", series="ckpt-{}", watch="w"}'],
    ),
    Scene(
        "NonFinite",
        "it failed for other reasons",
        {
            _c("check_failures_total", f'{_W}, check="finite", reason="finite.crashed"'): "0 1x20",
            _c("non_finite_values", _SERIES): "0x20",
        },
        "20m",
    ),
    Scene(
        "Inconclusive",
        "a custom object is missing",
        _job("ckpt-{}", 0, 0, state="inconclusive"),
        "60m",
        ['{instance="a:1", series="ckpt-{}", watch="w"}'],
    ),
    Scene("Inconclusive", "the retry was valid", _live("ckpt-{}"), "60m"),
    Scene(
        "WritingStuck",
        "a save is written to for hours",
        _job("ckpt-{}", 0, 0, state="writing", minutes=120),
        "120m",
        ['{instance="a:1", series="ckpt-{}", watch="w"}'],
    ),
    Scene(
        "WritingStuck",
        "each save takes half of the time",
        {_c("newest_state", f'{_SERIES}, state="writing"'): "1x9 0x9 " * 6},
        "110m",
    ),
    Scene(
        "Drift",
        "the first warning of a watch, and a restart later",
        {
            _c(
                "check_warnings_total", f'{_W}, check="drift", reason="drift.exploding"'
            ): "0x5 1x5 0x20",
            _c("check_warnings_total", f'{_W}, check="drift", reason="drift.dead"'): "0x30",
        },
        "30m",
        ['{instance="a:1", reason="drift.exploding", watch="w"}'],
    ),
    Scene(
        "Drift",
        "other warnings",
        {_c("check_warnings_total", f'{_W}, check="resume", reason="resume.x"'): "0+1x30"},
        "30m",
    ),
    Scene(
        "ClockAhead",
        "what was saved lies a day ahead",
        _job("ckpt-{}", DAY, DAY),
        "60m",
        ['{instance="a:1", series="ckpt-{}", watch="w"}'],
    ),
    Scene("ClockAhead", "a minute is nothing", _job("ckpt-{}", 660, 660, minutes=10), "10m"),
]
SCENES = [*DAEMON, *WATCHES, *SERIES]
