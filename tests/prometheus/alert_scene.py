"""When each alert fires and when it does not: scenes for `promtool test rules`.

Time begins at 0, so a save time of -3600 is an hour before the scene. A value is written as
promtool reads it: `1x60` is 1 for 61 minutes, `0+1x60` grows by 1 each minute, `_` is no sample.
"""

from __future__ import annotations

from dataclasses import dataclass, field

HOUR, DAY = 3600, 86400
W = 'watch="w"'
ONE = 'watch="w", series="ckpt-{}"'


@dataclass(frozen=True)
class Scene:
    """What was scraped, and which alerts of one name fire at a time, by some of their labels."""

    alert: str
    what: str
    series: dict[str, str]
    at: str
    fires: list[str] = field(default_factory=list)


def sample(name: str, more: str = "", instance: str = "a:1") -> str:
    """The name of a sample with the labels that every sample has, and more."""
    labels = f'job="checkpointd", instance="{instance}"' + (f", {more}" if more else "")
    return f"{name}{{{labels}}}"


def of(name: str, more: str = "", instance: str = "a:1") -> str:
    """A sample of checkpointd itself."""
    return sample(f"checkpointd_{name}", more, instance)


def stopped_series(
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
        of("newest_timestamp_seconds", labels): f"{newest}x{minutes}",
        of("last_valid_timestamp_seconds", labels): f"{last_valid}x{minutes}",
        of("last_seen_timestamp_seconds", labels): f"{newest}x{minutes}",
        of("newest_state", f'{labels}, state="{state}"'): f"1x{minutes}",
    }
    if every is not None:
        found[of("save_interval_seconds", labels)] = f"{every}x{minutes}"
    return found


def live_series(series: str, every: int = 600, minutes: int = 60) -> dict[str, str]:
    """What is exported of one series that is saved all the time, each save valid."""
    found = stopped_series(series, 0, 0, every, minutes=minutes)
    for key in list(found):
        if "timestamp" in key:
            found[key] = f"0+60x{minutes}"
    return found


def saved_often(state: str) -> dict[str, str]:
    """A series that is saved every other minute; after a valid one all get the same verdict."""
    return {
        of("newest_state", f'{ONE}, state="{state}"'): "0 0 " + "1 0 " * 19,
        of("newest_state", f'{ONE}, state="writing"'): "0 1 " * 20,
        of("newest_state", f'{ONE}, state="valid"'): "1 0x38",
    }


def scans(last: float, minutes: int, seconds: float) -> dict[str, str]:
    """What is exported of a watch whose last scan was at a time; ten have taken so long each."""
    return {
        of("last_reconcile_timestamp_seconds", W): f"{last}x{minutes}",
        of("reconcile_duration_seconds_sum", W): f"{10 * seconds}x{minutes}",
        of("reconcile_duration_seconds_count", W): f"10x{minutes}",
    }
