"""The calendar and `within` rules choose what restic's own `forget` chooses, where it is installed.

Older versions of restic do not keep the oldest while slots are left; what they do is found out.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest

from checkpointd.config import RetentionSettings
from checkpointd.retention_rules import Effect, SavedCheckpoint
from checkpointd.retention_rules.table import rules_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

RESTIC = shutil.which("restic")
ZONE = ZoneInfo("Europe/Berlin")
BEGAN = datetime(2023, 3, 20, tzinfo=UTC)
COUNT = 48
POLICIES = (
    {"keep_last": 3},
    {"keep_hourly": 5},
    {"keep_hourly": 400},
    {"keep_daily": 4},
    {"keep_weekly": 6},
    {"keep_monthly": 3},
    {"keep_yearly": 1},
    {"keep_yearly": 9},
    {"keep_within": "20d"},
    {"keep_within_hourly": "2d"},
    {"keep_within_daily": "60d"},
    {"keep_within_weekly": "100d"},
    {"keep_within_monthly": "200d"},
    {"keep_last": 2, "keep_hourly": 4, "keep_daily": 7, "keep_monthly": 12, "keep_within": "1d"},
)

pytestmark = [
    pytest.mark.slow(30),
    pytest.mark.skipif(RESTIC is None, reason="restic is not installed"),
]


def _restic(repository: Path, *arguments: str, zone: str = "UTC") -> str:
    done = subprocess.run(
        [str(RESTIC), "--repo", str(repository), *arguments],
        env={
            **os.environ,
            "RESTIC_PASSWORD": "x",
            "RESTIC_CACHE_DIR": f"{repository}-cache",
            "TZ": zone,
        },
        capture_output=True,
        text=True,
        check=True,
        timeout=100,
    )
    return done.stdout


def _times() -> list[datetime]:
    """Times of two years, some of them close together, in whole seconds as restic takes them."""
    rng = random.Random(3)  # noqa: S311 - a simulation
    starts = [BEGAN + timedelta(seconds=rng.randrange(600 * 86400)) for _ in range(COUNT // 4)]
    near = [
        at + timedelta(seconds=rng.randrange(1, span))
        for at in starts
        for span in (1800, 20 * 3600, 9 * 86400)
    ]
    return sorted({*starts, *near})


def _repository(directory: Path, times: Sequence[datetime]) -> Path:
    """A repository of snapshots, each taken with the offset that holds in Berlin at its time."""
    (directory / "file").write_text("a")
    found = directory / "repository"
    _restic(found, "init")

    def save(at: datetime) -> None:
        local = at.astimezone(ZONE)
        hours = int((local.utcoffset() or timedelta()).total_seconds()) // 3600
        time = f"{local:%Y-%m-%d %H:%M:%S}"
        options = ("--host", "h", "--time", time, str(directory / "file"))
        _restic(found, "backup", *options, zone=f"Etc/GMT-{hours}")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(save, times))
    return found


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Snapshots of two years."""
    return _repository(tmp_path_factory.mktemp("restic"), _times())


def _kept_by_restic(repository: Path, policy: dict[str, Any]) -> set[datetime]:
    options = [f"--{name.replace('_', '-')}={value}" for name, value in policy.items()]
    (group,) = json.loads(_restic(repository, "forget", "--dry-run", "--json", *options))
    return {datetime.fromisoformat(snapshot["time"]) for snapshot in group["keep"]}


def _kept_by_rules(
    policy: dict[str, Any], times: Sequence[datetime], *, oldest: bool = True
) -> set[datetime]:
    """What the rules choose; without `oldest` less what they choose for being the oldest."""
    newest_first = [SavedCheckpoint(i, at.timestamp()) for i, at in enumerate(times)][::-1]
    settings = RetentionSettings(**{**policy, "timezone": str(ZONE)})
    now = datetime.now(UTC).timestamp()
    return {
        times[identity]
        for rule in rules_of(settings, Effect.KEEP)
        for identity, reason in rule.claim(newest_first, now).items()
        if oldest or "it is the oldest" not in reason
    }


def test_the_rules_choose_what_restic_chooses(
    repository: Path, show: Callable[[str], None]
) -> None:
    """Each rule by itself, and several together."""
    first = _times()[0]
    oldest = {
        name: first in _kept_by_restic(repository, policy)
        for name, policy in (
            ("count", {"keep_yearly": 9}),
            ("within", {"keep_within_yearly": "9999d"}),
        )
    }
    for policy in POLICIES:
        is_within = any("within_" in name for name in policy)
        expected = _kept_by_rules(
            policy, _times(), oldest=oldest["within" if is_within else "count"]
        )
        assert expected == _kept_by_restic(repository, policy), policy
    version = _restic(repository, "version").split()[1]
    lacking = "" if all(oldest.values()) else ", but for the oldest, which it does not keep yet"
    show(
        f"restic {version}: {len(POLICIES)} policies on {len(_times())} snapshots, the same "
        f"choice{lacking}"
    )


def test_the_differences_from_restic_are_those_of_the_manual(tmp_path: Path) -> None:
    """An hour that comes twice is two hours here, and what is exactly as old as the span stays."""
    ends = datetime(2024, 10, 27, 1, tzinfo=UTC)  # of summer time in Berlin
    twice = [ends - timedelta(minutes=30), ends + timedelta(minutes=30)]
    exactly = twice[1] - timedelta(hours=48)
    times = [exactly, exactly + timedelta(seconds=1), *twice]
    repository = _repository(tmp_path, times)
    hourly, within = {"keep_hourly": 2}, {"keep_within": "48h"}
    assert _kept_by_rules(hourly, times) == set(twice)
    assert _kept_by_restic(repository, hourly) == {times[1], twice[1]}
    assert _kept_by_rules(within, times) == set(times)
    assert _kept_by_restic(repository, within) == set(times[1:])
