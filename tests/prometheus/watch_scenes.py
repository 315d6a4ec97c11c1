"""When the alerts about watches fire, and when not."""

from __future__ import annotations

from tests.prometheus.alert_scene import (
    Scene,
    W,
    of,
    scans,
)

WATCHES = [
    Scene(
        "WatchDown",
        "one of two cannot be read",
        {of("watch_up", 'watch="a"'): "1x20", of("watch_up", 'watch="b"'): "1 0x20"},
        "20m",
        ['{instance="a:1", watch="b"}'],
    ),
    Scene("WatchDown", "a mount is renewed", {of("watch_up", W): "1 0x3 1x20"}, "20m"),
    Scene(
        "ReconcileStale",
        "no scan ends",
        scans(0, 90, seconds=1) | {of("watch_up", W): "1x90"},
        "90m",
        ['{instance="a:1", watch="w"}'],
    ),
    Scene(
        "ReconcileStale",
        "the watch is down, which is another alert",
        scans(0, 90, seconds=1) | {of("watch_up", W): "0x90"},
        "90m",
    ),
    Scene(
        "ReconcileStale",
        "a scan of millions of files takes half an hour",
        scans(0, 90, seconds=1800) | {of("watch_up", W): "1x90"},
        "90m",
    ),
    Scene(
        "EventsLost",
        "the kernel's queue overflows",
        {of("watch_overflows_total", W): "0+1x40"},
        "40m",
        ['{instance="a:1", watch="w"}'],
    ),
    Scene(
        "EventsLost",
        "once each",
        {
            of("watch_overflows_total", W): "0 1x40",
            of("watch_restarts_total", W): "0 1x40",
        },
        "40m",
    ),
    Scene(
        "PruneHeld",
        "a series is on hold",
        {of("prune_held", f'{W}, reason="invalid_streak"'): "1x90"},
        "90m",
        ['{instance="a:1", reason="invalid_streak", watch="w"}'],
    ),
    Scene(
        "PruneHeld",
        "a hold that ended by itself",
        {of("prune_held", f'{W}, reason="unverified"'): "1x30 stale"},
        "90m",
    ),
    Scene(
        "PruneFailing",
        "it begins to fail",
        {of("prune_failures_total", W): "0 1x30"},
        "30m",
        ['{instance="a:1", watch="w"}'],
    ),
    Scene(
        "PruneFailing",
        "it failed hours ago and still does, over a restart of the daemon",
        {
            of("prune_failures_total", W): "3x60 0x120",
            of("problems", 'reason="prune_refused"'): "1x180",
        },
        "180m",
        ['{instance="a:1", reason="prune_refused"}'],
    ),
    Scene(
        "PruneFailing",
        "nothing fails",
        {
            of("prune_failures_total", W): "0x60",
            of("problems", 'reason="prune_refused"'): "0x60",
        },
        "60m",
    ),
    Scene(
        "DiskFull",
        "saves fill it within hours",
        {
            of("filesystem_avail_bytes", W): "2e11-1e9x80",
            of("filesystem_size_bytes", W): "1e12x80",
            of("trash_reserve_bytes", W): "1e10x80",
        },
        "80m",
        ['{instance="a:1", watch="w"}'],
    ),
    Scene(
        "DiskFull",
        "another program writes a few large files just after Prometheus was started",
        {
            of("filesystem_avail_bytes", W): "2e11-1e9x40",
            of("filesystem_size_bytes", W): "1e12x40",
            of("trash_reserve_bytes", W): "1e10x40",
        },
        "40m",
    ),
    Scene(
        "DiskFull",
        "it is full already, and no sample says how large it is",
        {
            of("filesystem_avail_bytes", W): "1e9x60",
            of("trash_reserve_bytes", W): "1e10x60",
        },
        "60m",
        ['{instance="a:1", watch="w"}'],
    ),
    Scene(
        "DiskFull",
        "each save is pruned again",
        {
            of("filesystem_avail_bytes", W): "5e11 " + "4e11 5e11 " * 30,
            of("filesystem_size_bytes", W): "1e12x60",
            of("trash_reserve_bytes", W): "1e10x60",
        },
        "60m",
    ),
    Scene(
        "NextSaveDoesNotFit",
        "it fills within a minute",
        {
            of("filesystem_avail_bytes", W): "5e9 1e9x5",
            of("next_save_bytes", W): "2e9x6",
        },
        "3m",
        ['{instance="a:1", watch="w"}'],
    ),
    Scene(
        "NextSaveDoesNotFit",
        "the trash gives way at once, as it does",
        {
            of("filesystem_avail_bytes", W): "1e9 " + "5e9 5e9 5e9 1e9 " * 3,
            of("next_save_bytes", W): "2e9x12",
        },
        "12m",
    ),
    Scene(
        "NotReplicated",
        "the store is down",
        {of("replication_oldest_timestamp_seconds", W): "0x90"},
        "90m",
        ['{instance="a:1", watch="w"}'],
    ),
    Scene(
        "NotReplicated",
        "the store is slow, and each is copied within half an hour; another watch is not copied",
        {of("replication_oldest_timestamp_seconds", W): "0x30 1800x30 3600x30 _ _"},
        "92m",
    ),
    Scene(
        "TrashLarge",
        "a third of a full disk",
        {
            of("trash_bytes", W): "3e11x90",
            of("filesystem_avail_bytes", W): "1e11x90",
            of("filesystem_size_bytes", W): "1e12x90",
        },
        "90m",
        ['{instance="a:1", watch="w"}'],
    ),
    Scene(
        "TrashLarge",
        "the same on an empty disk",
        {
            of("trash_bytes", W): "3e11x90",
            of("filesystem_avail_bytes", W): "6e11x90",
            of("filesystem_size_bytes", W): "1e12x90",
        },
        "90m",
    ),
    Scene(
        "TrashEmptiedEarly",
        "for the next saves",
        {of("trash_deleted_total", f'{W}, cause="early"'): "0 1x30"},
        "30m",
        ['{instance="a:1", watch="w"}'],
    ),
    Scene(
        "TrashEmptiedEarly",
        "by age",
        {
            of("trash_deleted_total", f'{W}, cause="expired"'): "0+1x30",
            of("trash_deleted_total", f'{W}, cause="early"'): "0x30",
        },
        "30m",
    ),
    Scene(
        "HookFailing",
        "the first one",
        {of("hook_runs_total", f'{W}, event="on_verdict", outcome="failed"'): "0x5 1x30"},
        "30m",
        ['{instance="a:1", watch="w"}'],
    ),
    Scene(
        "HookFailing",
        "all succeed",
        {
            of("hook_runs_total", f'{W}, event="on_verdict", outcome="ok"'): "0+1x30",
            of("hook_runs_total", f'{W}, event="on_verdict", outcome="failed"'): "0x30",
        },
        "30m",
    ),
    Scene(
        "SeriesDropped",
        "three are left out",
        {of("series_dropped", W): "3x90"},
        "90m",
        ['{instance="a:1", watch="w"}'],
    ),
    Scene("SeriesDropped", "none is", {of("series_dropped", W): "0x90"}, "90m"),
]
