"""What the web server needs of the daemon: protocols, so that it is tested with plain facts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from checkpointd.observe.series_detail import SeriesDetail
    from checkpointd.observe.series_status import SeriesStatus
    from checkpointd.observe.status import DaemonStatus


class StatusSource(Protocol):
    """Gives the daemon's status and what the ledger holds."""

    def status(self) -> DaemonStatus:
        """The daemon's status from memory, at once."""
        ...

    def series(self, watch: str | None = None) -> Sequence[SeriesStatus]:
        """Every series, or those of one watch, from memory, at once."""
        ...

    async def series_detail(self, identity: str) -> SeriesDetail | None:
        """One series with its last saves, or None if there is no such id."""
        ...

    async def checkpoints(
        self, *, watch: str | None, series: str | None, state: str | None, limit: int
    ) -> list[dict[str, Any]]:
        """Checkpoints newest first, each as the object that the API returns."""
        ...

    async def checkpoint(self, identity: int) -> dict[str, Any] | None:
        """The full report of one, or None if there is no such id."""
        ...


class Control(Protocol):
    """Carries out changes; every refusal is a `ControlError`."""

    async def reload(self) -> dict[str, Any]:
        """Read the config again."""
        ...

    async def prune(self, *, apply: bool, watch: str | None, force: bool) -> dict[str, Any]:
        """Plan, and with `apply` carry out, the retention of one watch or all."""
        ...

    async def accept(self, watch: str | None) -> dict[str, Any]:
        """Have pruning go on with what the ledger knows now."""
        ...

    async def pin(self, path: str, note: str) -> dict[str, Any]:
        """Protect a checkpoint from pruning."""
        ...

    async def unpin(self, path: str) -> dict[str, Any]:
        """Remove that protection."""
        ...

    async def tag(self, path: str, tags: Collection[str]) -> dict[str, Any]:
        """Add tags to a checkpoint."""
        ...

    async def untag(self, path: str, tags: Collection[str]) -> dict[str, Any]:
        """Remove tags from a path."""
        ...

    async def restore(self, path: str) -> dict[str, Any]:
        """Take a checkpoint out of the trash."""
        ...

    async def empty_trash(self, items: Collection[str]) -> dict[str, Any]:
        """Delete items of the trash for good, by their ids."""
        ...

    async def retry_hooks(self, ids: Collection[int] | None) -> dict[str, Any]:
        """Run hooks for events again now, all or those with these ids."""
        ...

    async def verify(self, path: str) -> dict[str, Any]:
        """Verify a checkpoint now, record it, and return its report."""
        ...


class ControlError(Exception):
    """A request that is refused; the text is one sentence that explains what to do."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status
