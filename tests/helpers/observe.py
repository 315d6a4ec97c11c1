"""A daemon's state made of plain facts, for the tests of what is shown of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from checkpointd.core.checkpoint import Checkpoint, Generation, Member
from checkpointd.core.format_specs import Format
from checkpointd.core.report import Facts, Report
from checkpointd.core.verdict import Verdict
from checkpointd.ledger import CheckpointSummary, SeriesSummary, State
from checkpointd.observe.series_detail import SeriesDetail, SeriesPoint
from checkpointd.observe.series_status import SeriesStatus
from checkpointd.observe.sources import ControlError
from checkpointd.observe.status import DaemonStatus

if TYPE_CHECKING:
    from collections.abc import Collection

    from checkpointd.core.check_result import CheckResult

NOW = 1_800_000_000.0
ODD = "/srv/runs/a\udcff\n<script>alert('x')</script>\x1b[2J\u202ename.h5"
"""A path with a byte that is no UTF-8, a newline, markup, a terminal escape, a bidi override."""


def watch(name: str = "resnet", **changes: Any) -> dict[str, Any]:
    """One watch of a status."""
    return {
        "name": name,
        "path": f"/srv/runs/{name}",
        "method": "inotify",
        "up": True,
        "message": "",
        "mode": "enforce",
        "counts": {"valid": 12, "invalid": 1, "pending": 2},
        "unknown": 3,
        "last_reconcile_at": NOW - 20,
        "reconcile_seconds": 0.01,
        "filesystem_avail_bytes": 410 * 1024**3,
        "retained_bytes": 18 * 1024**3,
        "trash_bytes": 3 * 1024**2,
        "holds": [],
    } | changes


def status(**changes: Any) -> DaemonStatus:
    """The status of a daemon in good health; changes as in the object of `/api/v1/status`."""
    public = {
        "version": "0.1.0",
        "pid": 4711,
        "started_at": NOW - 7200,
        "config_path": "/etc/checkpointd/config.toml",
        "config_loaded_at": NOW - 7200,
        "config_error": "",
        "ready": True,
        "healthy": True,
        "problems": [],
        "watches": [watch()],
        "queue": {"length": 0, "oldest_at": None, "resting_until": None},
        "workers": [{"kind": "scan", "up": True, "pid": 4712, "busy": 0, "python": ""}],
        "last_verdicts": [],
        "web": "http://127.0.0.1:9746",
    }
    return DaemonStatus.from_public(public | changes)


def verdict(path: str = "/srv/runs/resnet/m.h5", **changes: Any) -> dict[str, Any]:
    """One of the last verdicts of a status."""
    return {"path": path, "verdict": "valid", "reason": "", "message": "", "at": NOW - 60} | changes


def checkpoint(number: int = 1, **changes: Any) -> CheckpointSummary:
    """A checkpoint of a series at a glance: `ckpt-N`, saved N minutes before now."""
    facts = {
        "id": number,
        "path": f"/srv/runs/resnet/ckpt-{number}",
        "state": State.VALID,
        "step": 1000 - number,
        "saved_at": NOW - 60 * number,
        "size_bytes": 2**20,
        "verified_at": NOW - 60 * number + 5,
    }
    return CheckpointSummary(**facts | changes)


def series(name: str = "ckpt-{}", watch: str = "resnet", **changes: Any) -> SeriesStatus:
    """A series that was saved every minute, whose newest checkpoint is valid."""
    facts: dict[str, Any] = {
        "last_seen": NOW - 60,
        "last_valid": NOW - 60,
        "last_valid_step": 999,
        "retained_bytes": 3 * 2**20,
        "count": 3,
        "newest": checkpoint(),
        "newest_verified": checkpoint(),
        "newest_valid": checkpoint(),
        "saves": tuple(NOW - 60 * n for n in range(1, 6)),
    }
    removal = changes.pop("next_removal", None)
    return SeriesStatus.of(SeriesSummary(watch, name, **facts | changes), NOW, removal)


def bad_series(name: str = "ckpt-{}", watch: str = "resnet", **changes: Any) -> SeriesStatus:
    """A series whose newest checkpoint has NaN, and the one before is valid."""
    newest = {"state": State.INVALID, "reason": "finite.nan", "message": "12 of 40 are NaN."}
    bad = checkpoint(**newest | changes)
    return series(
        name,
        watch,
        newest=bad,
        newest_verified=bad,
        newest_valid=checkpoint(3),
        not_valid=2,
        not_valid_since=NOW - 120,
    )


def points(*letters: str, **changes: Any) -> tuple[SeriesPoint, ...]:
    """The history of a series: `v` is a valid save, `i` an invalid, `c` an inconclusive one."""
    words = {"v": "valid", "i": "invalid", "c": "inconclusive"}
    facts: dict[str, Any] = {"path": "/srv/runs/resnet/ckpt", "reason": "", "message": ""}
    facts |= {"size_bytes": 2**20}
    return tuple(
        SeriesPoint(
            id=number,
            step=number,
            saved_at=NOW - 60 * (len(letters) - number),
            verdict=words[letter],
            duration_seconds=0.1 * number,
            **facts | changes,
        )
        for number, letter in enumerate(letters, 1)
    )


def report(
    *checks: CheckResult, path: str = "/srv/runs/resnet/m.h5", verdict: Verdict = Verdict.VALID
) -> Report:
    """A report with the given checks."""
    return Report(
        checkpoint=Checkpoint(path, Format.HDF5, "resnet", "m.h5"),
        generation=Generation((Member("", 1, 2, 3, 4, 5),)),
        verdict=verdict,
        reason="",
        message="",
        shown=(),
        checks=checks,
        facts=Facts(Format.HDF5),
        duration_seconds=0.3,
        settings_digest="",
        finished_at=NOW,
    )


class Source:
    """A `StatusSource` that answers from memory and remembers what it was asked."""

    def __init__(self, **changes: Any) -> None:
        self.changes = changes
        self.known: list[SeriesStatus] = []
        self.rows: list[dict[str, Any]] = [{"id": 1, "path": ODD, "weight_norm": float("nan")}]
        self.asked: list[dict[str, Any]] = []

    def status(self) -> DaemonStatus:
        """A status in good health, but for the changes."""
        return status(**self.changes)

    def series(self, watch: str | None = None) -> list[SeriesStatus]:
        """What is known, of one watch or all."""
        return [one for one in self.known if watch in (None, one.watch)]

    async def series_detail(self, identity: str) -> SeriesDetail | None:
        """One that is known, with a history of three saves."""
        one = next((one for one in self.known if one.id == identity), None)
        return None if one is None else SeriesDetail(one, points(*"viv"))

    async def checkpoints(self, **asked: Any) -> list[dict[str, Any]]:
        """The rows, whatever was asked."""
        self.asked.append(asked)
        return self.rows

    async def checkpoint(self, identity: int) -> dict[str, Any] | None:
        """The row with this id."""
        return next((row for row in self.rows if row["id"] == identity), None)


class RecordingControl:
    """A `Control` that records its calls; it refuses the path `/refused`."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def _record(self, *call: Any) -> dict[str, Any]:
        if "/refused" in call:
            raise ControlError("No checkpoint is known by this path.", 404)
        self.calls.append(call)
        return {"done": call[0]}

    async def reload(self) -> dict[str, Any]:
        """Remember it."""
        return self._record("reload")

    async def prune(self, *, apply: bool, watch: str | None, force: bool) -> dict[str, Any]:
        """Remember it."""
        return self._record("prune", apply, watch)

    async def pin(self, path: str, note: str) -> dict[str, Any]:
        """Remember it."""
        return self._record("pin", path, note)

    async def unpin(self, path: str) -> dict[str, Any]:
        """Remember it."""
        return self._record("unpin", path)

    async def tag(self, path: str, tags: Collection[str]) -> dict[str, Any]:
        """Remember it."""
        return self._record("tag", path, *tags)

    async def untag(self, path: str, tags: Collection[str]) -> dict[str, Any]:
        """Remember it."""
        return self._record("untag", path, *tags)

    async def restore(self, path: str) -> dict[str, Any]:
        """Remember it."""
        return self._record("restore", path)

    async def verify(self, path: str) -> dict[str, Any]:
        """Remember it."""
        return self._record("verify", path)
