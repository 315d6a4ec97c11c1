"""The daemon's state at the moment of a scrape: the facts that the gauges are built from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class SeriesSnapshot:
    """The newest facts of one series; times are seconds since the epoch.

    `last_valid` is when the newest valid checkpoint was saved, on disk or not, 0 if there never
    was one; what begins with `newest` is about those on disk. What is None has never been
    measured and is not exposed; `evaluation` holds a value by metric.
    """

    series: str
    last_seen: float
    last_valid: float = 0.0
    last_valid_step: int | None = None
    predictions_max_abs_difference: float | None = None
    weight_norm: float | None = None
    weight_change_ratio: float | None = None
    non_finite_values: int | None = None
    evaluation: Mapping[str, float] = field(default_factory=dict)
    newest_state: str = ""
    newest_timestamp_seconds: float | None = None
    newest_valid_timestamp_seconds: float | None = None
    newest_valid_verified_timestamp_seconds: float | None = None
    newest_valid_step: int | None = None
    save_interval_seconds: float | None = None


@dataclass(frozen=True)
class WatchSnapshot:
    """One watch: `counts` maps a state to checkpoints, `holds` a reason to the series it holds."""

    name: str
    up: bool
    counts: Mapping[str, int] = field(default_factory=dict)
    holds: Mapping[str, int] = field(default_factory=dict)
    series: tuple[SeriesSnapshot, ...] = ()
    hooks_pending: int | None = None
    replication_waiting: int | None = None
    replication_oldest_at: float | None = None
    retained_bytes: int | None = None
    trash_bytes: int | None = None
    trash_reserve_bytes: int | None = None
    vault_bytes: int | None = None
    filesystem_avail_bytes: int | None = None
    filesystem_size_bytes: int | None = None
    next_save_bytes: int | None = None


@dataclass(frozen=True)
class StateDirSnapshot:
    """The state directory, and the file system that it is on, in bytes."""

    used: int
    avail: int
    size: int


@dataclass(frozen=True)
class WebSnapshot:
    """The web server: connections now, and what protects it; None where it has no such files.

    `certificate_not_after` is in seconds since the epoch, the earliest of the chain.
    """

    connections: int = 0
    certificate_not_after: float | None = None
    files_good: bool | None = None


@dataclass(frozen=True)
class EngineSnapshot:
    """A fleet: whether its scheduler answers, its workers, and what they verify at a time."""

    reachable: bool
    workers: int
    slots: int


@dataclass(frozen=True)
class Snapshot:
    """The whole daemon; `workers` maps a kind to whether it can work (idle counts as up).

    `sandbox` maps a layer to whether it is in force; empty until a worker was started. `problems`
    maps a reason of `observe.problems` to how many there are; `memory_limits` a kind of worker to
    the bytes that one may use now.
    """

    watches: tuple[WatchSnapshot, ...] = ()
    workers: Mapping[str, bool] = field(default_factory=dict)
    sandbox: Mapping[str, bool] = field(default_factory=dict)
    queue_length: int = 0
    queue_oldest_at: float | None = None
    web: WebSnapshot = field(default_factory=WebSnapshot)
    problems: Mapping[str, int] = field(default_factory=dict)
    memory_limits: Mapping[str, int] = field(default_factory=dict)
    state_dir: StateDirSnapshot | None = None
    engine: EngineSnapshot | None = None
