"""The daemon's status as facts: built once, then rendered by `status`, the page and the API."""

from __future__ import annotations

import dataclasses
import typing
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from checkpointd.core.encode import to_json
from checkpointd.observe.hook_status import HookStatus  # noqa: TC001 - `_object` reads the hints
from checkpointd.observe.replication_status import ReplicationStatus
from checkpointd.observe.sandbox import SandboxStatus, WorkerSandbox

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from checkpointd.ledger import Entry

T = TypeVar("T")


@dataclass(frozen=True)
class HoldStatus:
    """A series whose pruning is on hold, why, and what ends that."""

    series: str = ""
    reason: str = ""
    cure: str = ""
    message: str = ""


@dataclass(frozen=True)
class FilesystemStatus:
    """The file system of a watch: watches with the same `device` share it.

    `full_at` is when it will be full at the rate of the last `observed_seconds` (an hour at most);
    None: it does not fill, or that is not known yet. `next_saves_fit`: what is free and what the
    trash gives way is enough for the next saves of the watch.
    """

    device: str = ""
    size_bytes: int | None = None
    full_at: float | None = None
    observed_seconds: float = 0.0
    next_saves_fit: bool = True


@dataclass(frozen=True)
class WatchStatus:
    """One watch; `counts` maps a state to checkpoints, times are seconds since the epoch.

    `plan` is what its policy would now remove, in a sentence; empty before the first plan. What is
    None has not been measured yet.
    """

    name: str = "?"
    path: str = ""
    method: str = "?"
    up: bool = False
    ready: bool = False
    message: str = ""
    mode: str = "?"
    counts: dict[str, int] = field(default_factory=dict)
    unknown: int = 0
    last_reconcile_at: float = 0.0
    reconcile_seconds: float = 0.0
    filesystem_avail_bytes: int | None = None
    retained_bytes: int | None = None
    trash_bytes: int | None = None
    vault_bytes: int | None = None
    trash_reserve_bytes: int | None = None
    holds: tuple[HoldStatus, ...] = ()
    plan: str = ""
    filesystem: FilesystemStatus = field(default_factory=FilesystemStatus)
    replication: ReplicationStatus = field(default_factory=ReplicationStatus)


@dataclass(frozen=True)
class QueueStatus:
    """How many saves wait, and since when the oldest of them has been waiting.

    `resting_until`: when the next worker goes on that rests because of `duty_cycle`; None if none
    rests, or nothing waits.
    """

    length: int = 0
    oldest_at: float | None = None
    resting_until: float | None = None


@dataclass(frozen=True)
class WorkerStatus:
    """One interpreter that verifies; `message` is why it could not be started.

    `forks` and `environment` are None for one that was not started, `sandbox` is also None for
    one that has not tried it. `spares` are its warm children, which wait for a checkpoint.
    """

    kind: str = "?"
    python: str = ""
    up: bool = False
    pid: int = 0
    busy: int = 0
    forks: bool | None = None
    environment: dict[str, str] | None = None
    sandbox: WorkerSandbox | None = None
    message: str = ""
    memory_bytes: int | None = None
    spares: int = 0

    def to_public(self) -> dict[str, Any]:
        """The object of the status; what only a process that was started has is left out else."""
        public: dict[str, Any] = to_json(self)
        if self.forks is None:
            for key in ("forks", "environment", "sandbox"):
                del public[key]
        return public


@dataclass(frozen=True)
class VerdictStatus:
    """A verdict in one line; `at` is when it was given."""

    id: int = 0
    path: str = ""
    watch: str = ""
    verdict: str = ""
    reason: str = ""
    message: str = ""
    at: float = 0.0

    @classmethod
    def of(cls, entry: Entry) -> VerdictStatus:
        """The verdict of a checkpoint; empty if it has none."""
        report, checkpoint = entry.report, entry.checkpoint
        if report is None:
            return cls(entry.id, checkpoint.path, checkpoint.watch)
        return cls(
            id=entry.id,
            path=checkpoint.path,
            watch=checkpoint.watch,
            verdict=str(report.verdict),
            reason=report.reason,
            message=report.message,
            at=report.finished_at,
        )


@dataclass(frozen=True)
class WebAccess:
    """What protects the web server, and until when its certificate is valid."""

    tls: bool = False
    client_certificates: bool = False
    basic_auth: bool = False
    certificate_not_after: float | None = None


@dataclass(frozen=True)
class EngineStatus:
    """Who verifies: this host (`local`), or the workers of a Dask cluster.

    `hosts` are those of its workers, `slots` how many checkpoints they verify at a time; `message`
    is why the scheduler cannot be reached.
    """

    name: str = "local"
    scheduler: str = ""
    reachable: bool = True
    workers: int = 0
    hosts: tuple[str, ...] = ()
    slots: int = 0
    message: str = ""

    @property
    def line(self) -> str:
        """One line about it; empty for this host."""
        if self.name == "local":
            return ""
        if not self.reachable:
            return f"{self.name}, {self.scheduler} is not reachable: {self.message}"
        workers = f"{self.workers} worker{'' if self.workers == 1 else 's'}"
        places = f"{self.slots} at a time, on {', '.join(self.hosts)}"
        return f"{self.name}, {self.scheduler}, {workers}" + (f", {places}" if self.workers else "")


@dataclass(frozen=True)
class DaemonStatus:
    """Everything that the daemon reports about itself; times are seconds since the epoch."""

    version: str = "?"
    pid: int = 0
    started_at: float = 0.0
    config_path: str = ""
    config_loaded_at: float = 0.0
    config_error: str = ""
    state_dir: str = ""
    healthy: bool = False
    ready: bool = False
    problems: tuple[str, ...] = ()
    problem_counts: dict[str, int] = field(default_factory=dict)
    watches: tuple[WatchStatus, ...] = ()
    queue: QueueStatus = field(default_factory=QueueStatus)
    verifying: tuple[str, ...] = ()
    workers: tuple[WorkerStatus, ...] = ()
    engine: EngineStatus = field(default_factory=EngineStatus)
    sandbox: SandboxStatus = field(default_factory=SandboxStatus)
    last_verdicts: tuple[VerdictStatus, ...] = ()
    attention: tuple[VerdictStatus, ...] = ()
    hooks: tuple[HookStatus, ...] = ()
    web: str = ""
    web_access: WebAccess = field(default_factory=WebAccess)
    last_scrape_at: float | None = None

    def count(self, state: str) -> int:
        """How many checkpoints of all watches are in a state."""
        return sum(watch.counts.get(state, 0) for watch in self.watches)

    @property
    def line(self) -> str:
        """One line for `systemctl status`."""
        counts = [watch.counts for watch in self.watches]
        return status_line(counts, self.queue.length + len(self.verifying), self.config_error)

    def to_public(self) -> dict[str, Any]:
        """The object of `/api/v1/status` and of `status --json`."""
        return {
            **to_json(self),
            "workers": [worker.to_public() for worker in self.workers],
            "sandbox": self.sandbox.to_public(),
        }

    @classmethod
    def from_public(cls, public: Any) -> DaemonStatus:
        """Read such an object; a key that another version does not send has its default."""
        return _object(cls, public if isinstance(public, dict) else {})


def status_line(counts: Iterable[Mapping[str, int]], waiting: int, config_error: str) -> str:
    """Return one line for `systemctl status`.

    Args:
        counts: how many checkpoints each watch has in each state.
        waiting: how many wait or are being verified.
        config_error: why the last config could not be used.
    """
    total = Counter[str]()
    for one in counts:
        total.update(one)
    known = [f"{total[state]} {state}" for state in ("valid", "invalid", "inconclusive")]
    failed = ["last reload failed, the old config stays"] if config_error else []
    return ", ".join([*known, f"{waiting} waiting", *failed])


def _object(kind: type[T], value: dict[str, Any]) -> T:
    kinds, empty = typing.get_type_hints(kind), kind()
    return kind(
        **{
            key: _value(kinds[key], value[key], getattr(empty, key))
            for key in kinds
            if key in value
        }
    )


def _value(kind: Any, value: Any, default: Any) -> Any:
    """Read a value of a kind that is used above; the default if it is of another kind."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if type(None) in arguments:
        return None if value is None else _value(arguments[0], value, default)
    if origin is tuple:
        rows = value if isinstance(value, list) else []
        return tuple(_value(arguments[0], row, arguments[0]()) for row in rows)
    if origin is dict:
        pairs = value if isinstance(value, dict) else {}
        return {str(key): _value(arguments[1], pairs[key], arguments[1]()) for key in pairs}
    if dataclasses.is_dataclass(kind):
        return _object(kind, value) if isinstance(value, dict) else default  # type: ignore[arg-type]
    is_number = kind is float and type(value) is int
    return value if is_number or type(value) is kind else default
