"""When the alerts about series fire, and when not."""

from __future__ import annotations

from tests.prometheus.alert_scene import (
    DAY,
    HOUR,
    ONE,
    Scene,
    W,
    live_series,
    of,
    saved_often,
    stopped_series,
)

SERIES = [
    Scene(
        "NoValidCheckpoint",
        "of twenty jobs one has died",
        {
            **{
                k: v
                for n in range(19)
                for k, v in live_series(f"job{n}/ckpt-{{}}", minutes=120).items()
            },
            **stopped_series("dead/ckpt-{}", 0, 0, minutes=120),
        },
        "120m",
        ['{cause="not_saved", series="dead/ckpt-{}", watch="w"}'],
    ),
    Scene(
        "NoValidCheckpoint",
        "of twenty jobs one had died before the daemon came, after a single save",
        {
            **{k: v for n in range(19) for k, v in live_series(f"job{n}/ckpt-{{}}").items()},
            **stopped_series("dead/ckpt-{}", -3 * DAY, -3 * DAY, None),
        },
        "60m",
        ['{cause="not_saved", series="dead/ckpt-{}", watch="w"}'],
    ),
    Scene(
        "NoValidCheckpoint",
        "it saves twice a day, and the last save is ten hours old",
        stopped_series("slow/ckpt-{}", -10 * HOUR, -10 * HOUR, 12 * HOUR),
        "60m",
    ),
    Scene(
        "NoValidCheckpoint",
        "it goes on saving, and nothing is valid since an hour",
        stopped_series("ckpt-{}", 0, -1 * HOUR, state="invalid", minutes=25),
        "25m",
        ['{cause="not_valid", series="ckpt-{}", watch="w"}'],
    ),
    Scene(
        "NoValidCheckpoint",
        "its first three saves were invalid",
        stopped_series("ckpt-{}", 0, 0, state="invalid", minutes=25)
        | {of("newest_timestamp_seconds", ONE): f"{2 * HOUR}x25"},
        "25m",
        ['{cause="not_valid", series="ckpt-{}", watch="w"}'],
    ),
    Scene(
        "NoValidCheckpoint",
        "one bad save between good ones",
        live_series("ckpt-{}") | {of("newest_state", f'{ONE}, state="invalid"'): "0x20 1x10 0x30"},
        "35m",
    ),
    Scene(
        "NoValidCheckpoint",
        "a job that has ended, a week later",
        stopped_series("done/ckpt-{}", -8 * DAY, -8 * DAY),
        "60m",
    ),
    Scene(
        "NoValidCheckpoint",
        "a job whose checkpoints were moved away",
        {
            of("last_valid_timestamp_seconds", ONE): f"{-2 * DAY}x60",
            of("last_seen_timestamp_seconds", ONE): f"{-2 * DAY}x60",
        },
        "60m",
    ),
    Scene(
        "NoValidCheckpoint",
        "models that are saved once are no jobs",
        stopped_series("resnet50.h5", -2 * DAY, -2 * DAY, None),
        "60m",
    ),
    Scene(
        "NoValidCheckpoint",
        "the best of a job gets rarer",
        stopped_series("best.h5", -4 * HOUR, -4 * HOUR, 900),
        "60m",
    ),
    Scene(
        "NoValidCheckpoint",
        "a new series whose first checkpoint waits for its verdict",
        stopped_series("ckpt-{}", 0, 0, None, "pending"),
        "60m",
    ),
    Scene(
        "NoValidCheckpoint",
        "a watch for which two hours are allowed",
        stopped_series(
            "ckpt-{}", -1 * HOUR, -3 * HOUR, watch="strict", state="inconclusive", every=None
        ),
        "60m",
        ['{cause="overdue", series="ckpt-{}", watch="strict"}'],
    ),
    Scene(
        "NoValidCheckpoint",
        "its own interval counts no more there",
        stopped_series("ckpt-{}", -1 * HOUR, -0.5 * HOUR, watch="strict"),
        "60m",
    ),
    Scene(
        "NoCheckpointEver",
        "the path has a typo",
        {of("watch_up", 'watch="typo"'): "1x180", **live_series("ckpt-{}", minutes=180)}
        | {of("watch_up", W): "1x180"},
        "180m",
        ['{instance="a:1", watch="typo"}'],
    ),
    Scene(
        "NoCheckpointEver",
        "all of them are gone again",
        {
            of("watch_up", W): "1x180",
            of("last_seen_timestamp_seconds", ONE): "0x180",
        },
        "180m",
    ),
    Scene(
        "NewestInvalid",
        "one of two series",
        live_series("a/ckpt-{}") | stopped_series("b/ckpt-{}", 0, 0, state="invalid"),
        "20m",
        ['{instance="a:1", series="b/ckpt-{}", watch="w"}'],
    ),
    Scene("NewestInvalid", "a good one has followed", live_series("ckpt-{}"), "60m"),
    Scene(
        "NewestInvalid",
        "it saves every other minute, and each save is invalid",
        saved_often("invalid"),
        "9m",
        ['{instance="a:1", series="ckpt-{}", watch="w"}'],
    ),
    Scene(
        "NewestInvalid",
        "a good one has followed, and the next save is slow",
        {
            of("newest_state", f'{ONE}, state="invalid"'): "1x3 0x20",
            of("newest_state", f'{ONE}, state="valid"'): "0x3 1 0x20",
            of("newest_state", f'{ONE}, state="writing"'): "0x4 1x20",
        },
        "12m",
    ),
    Scene(
        "NonFinite",
        "the first NaN of a watch",
        {
            of("check_failures_total", f'{W}, check="finite", reason="finite.nan"'): "0x5 1x20",
            of("check_failures_total", f'{W}, check="finite", reason="finite.inf"'): "0x25",
        },
        "20m",
        ['{instance="a:1", watch="w"}'],
    ),
    Scene(
        "NonFinite",
        "it was NaN before the first scrape",
        {
            of("check_failures_total", f'{W}, check="finite", reason="finite.nan"'): "1x200",
            of("non_finite_values", ONE): "96x200",
        },
        "180m",
        ['{instance="a:1", series="ckpt-{}", watch="w"}'],
    ),
    Scene(
        "NonFinite",
        "it failed for other reasons",
        {
            of("check_failures_total", f'{W}, check="finite", reason="finite.crashed"'): "0 1x20",
            of("non_finite_values", ONE): "0x20",
        },
        "20m",
    ),
    Scene(
        "Inconclusive",
        "a custom object is missing",
        stopped_series("ckpt-{}", 0, 0, state="inconclusive"),
        "60m",
        ['{instance="a:1", series="ckpt-{}", watch="w"}'],
    ),
    Scene("Inconclusive", "the retry was valid", live_series("ckpt-{}"), "60m"),
    Scene(
        "Inconclusive",
        "it saves every other minute, and none can be judged",
        saved_often("inconclusive"),
        "40m",
        ['{instance="a:1", series="ckpt-{}", watch="w"}'],
    ),
    Scene(
        "WritingStuck",
        "a save is written to for hours",
        stopped_series("ckpt-{}", 0, 0, state="writing", minutes=120),
        "120m",
        ['{instance="a:1", series="ckpt-{}", watch="w"}'],
    ),
    Scene(
        "WritingStuck",
        "each save takes half of the time",
        {of("newest_state", f'{ONE}, state="writing"'): "1x9 0x9 " * 6},
        "110m",
    ),
    Scene(
        "Drift",
        "the first warning of a watch, and a restart later",
        {
            of(
                "check_warnings_total", f'{W}, check="drift", reason="drift.exploding"'
            ): "0x5 1x5 0x20",
            of("check_warnings_total", f'{W}, check="drift", reason="drift.dead"'): "0x30",
        },
        "30m",
        ['{instance="a:1", reason="drift.exploding", watch="w"}'],
    ),
    Scene(
        "Drift",
        "other warnings",
        {of("check_warnings_total", f'{W}, check="resume", reason="resume.x"'): "0+1x30"},
        "30m",
    ),
    Scene(
        "ClockAhead",
        "what was saved lies a day ahead",
        stopped_series("ckpt-{}", DAY, DAY),
        "60m",
        ['{instance="a:1", series="ckpt-{}", watch="w"}'],
    ),
    Scene(
        "ClockAhead", "a minute is nothing", stopped_series("ckpt-{}", 660, 660, minutes=10), "10m"
    ),
]
