"""When the alerts about the daemon itself fire, and when not."""

from __future__ import annotations

from tests.prometheus.alert_scene import (
    DAY,
    Scene,
    W,
    of,
    sample,
)

DAEMON = [
    Scene("Down", "a scrape fails", {sample("up"): "1x5 0x20"}, "20m", ['{instance="a:1"}']),
    Scene("Down", "the target is gone", {sample("up"): "1x5 stale"}, "30m", ["{}"]),
    Scene("Down", "one scrape failed", {sample("up"): "1x5 0 1x20"}, "8m"),
    Scene(
        "Restarting",
        "it starts each minute",
        {sample("process_start_time_seconds"): "0+60x20"},
        "20m",
        ['{instance="a:1"}'],
    ),
    Scene(
        "Restarting",
        "an upgrade restarts it once, and counters begin at 0 again",
        {
            sample("process_start_time_seconds"): "0x10 700x20",
            of("check_failures_total", f'{W}, check="finite", reason="finite.nan"'): "5x10 0x20",
        },
        "20m",
    ),
    Scene(
        "QueueStuck",
        "the oldest waits since the beginning",
        {of("queue_oldest_timestamp_seconds"): "0x90"},
        "90m",
        ['{instance="a:1"}'],
    ),
    Scene(
        "QueueStuck",
        "each waits five minutes, and sometimes none does",
        {of("queue_oldest_timestamp_seconds"): "0+60x40 _x10 3000+60x40"},
        "90m",
    ),
    Scene(
        "WorkerDown",
        "the load worker cannot be started",
        {
            of("worker_up", 'kind="scan"'): "1x30",
            of("worker_up", 'kind="load"'): "0x30",
        },
        "30m",
        ['{instance="a:1", kind="load"}'],
    ),
    Scene(
        "WorkerDown",
        "it was for a moment",
        {of("worker_up", 'kind="load"'): "1 0x3 1x30"},
        "9m",
    ),
    Scene(
        "WorkerDying",
        "the kernel kills one after the other, and the daemon was restarted meanwhile",
        {
            of("worker_exits_total", 'cause="signal"'): "0 2 4 0 2 4x30",
            of("worker_exits_total", 'cause="ok"'): "0+9x40",
        },
        "30m",
        ['{cause="signal", instance="a:1"}'],
    ),
    Scene(
        "WorkerDying",
        "two crashed, and time-outs belong to the checkpoint",
        {
            of("worker_exits_total", 'cause="signal"'): "0 1 2x30",
            of("worker_exits_total", 'cause="timeout"'): "0+1x30",
        },
        "30m",
    ),
    Scene(
        "ReloadFailed",
        "the config is wrong",
        {of("config_last_reload_successful"): "1 0x20"},
        "20m",
        ['{instance="a:1"}'],
    ),
    Scene(
        "ReloadFailed",
        "it was corrected at once",
        {of("config_last_reload_successful"): "1 0x3 1x20"},
        "20m",
    ),
    Scene(
        "SandboxOff",
        "no Landlock",
        {
            of("sandbox_in_force", 'layer="landlock"'): "0x20",
            of("sandbox_in_force", 'layer="seccomp"'): "1x20",
        },
        "20m",
        ['{instance="a:1", layer="landlock"}'],
    ),
    Scene("SandboxOff", "no worker has tried yet", {sample("up"): "1x20"}, "20m"),
    Scene(
        "CertExpiry",
        "three days are left",
        {of("tls_certificate_not_after_timestamp_seconds"): f"{3 * DAY}x90"},
        "90m",
        ['{instance="a:1"}'],
    ),
    Scene(
        "CertExpiry",
        "three months are left",
        {of("tls_certificate_not_after_timestamp_seconds"): f"{90 * DAY}x90"},
        "90m",
    ),
    Scene(
        "WebFileBroken",
        "an empty certificate file",
        {of("web_files_last_reload_successful"): "0x20"},
        "20m",
        ['{instance="a:1"}'],
    ),
    Scene(
        "WebFileBroken",
        "a good one, and a daemon without any",
        {
            of("web_files_last_reload_successful"): "1x20",
            of("web_connections", "", "b:1"): "1x20",
        },
        "20m",
    ),
    Scene(
        "PasswordsRefused",
        "somebody guesses",
        {of("web_refused_total", 'cause="password"'): "0+1x30"},
        "30m",
        ['{instance="a:1"}'],
    ),
    Scene(
        "PasswordsRefused",
        "a person mistyped",
        {of("web_refused_total", 'cause="password"'): "0 1 2x30"},
        "30m",
    ),
    Scene(
        "StateDiskFull",
        "hardly anything is free",
        {
            of("state_filesystem_avail_bytes"): "5e8x60",
            of("state_filesystem_size_bytes"): "1e11x60",
        },
        "60m",
        ['{instance="a:1"}'],
    ),
    Scene(
        "StateDiskFull",
        "a small disk that is empty",
        {
            of("state_filesystem_avail_bytes"): "4e8x60",
            of("state_filesystem_size_bytes"): "5e8x60",
        },
        "60m",
    ),
    Scene(
        "StateDiskFull",
        "it fills slowly and has space for weeks",
        {
            of("state_filesystem_avail_bytes"): "5e10-1e6x60",
            of("state_filesystem_size_bytes"): "1e11x60",
        },
        "60m",
    ),
    Scene(
        "Problem",
        "the ledger cannot be written",
        {of("problems", 'reason="ledger"'): "0 1x60"},
        "60m",
        ['{instance="a:1", reason="ledger"}'],
    ),
    Scene(
        "Problem",
        "what has an alert of its own, and a warning about the config",
        {
            of("problems", 'reason="watch_down"'): "1x60",
            of("problems", 'reason="config"'): "1x60",
        },
        "60m",
    ),
    Scene(
        "WatchTakenOut",
        "a reload took b out",
        {
            sample("up"): "1x120",
            of("watch_up", 'watch="a"'): "1x120",
            of("watch_up", 'watch="b"'): "1x60 stale",
        },
        "80m",
        ['{instance="a:1", watch="b"}'],
    ),
    Scene(
        "WatchTakenOut",
        "the daemon is down: that is another alert",
        {sample("up"): "1x60 0x60", of("watch_up", 'watch="b"'): "1x60 stale"},
        "80m",
    ),
    Scene(
        "WatchTakenOut",
        "an hour later nobody needs to be notified again",
        {sample("up"): "1x200", of("watch_up", 'watch="b"'): "1x60 stale"},
        "180m",
    ),
]
