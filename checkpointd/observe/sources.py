"""What the web room asks of the daemon: protocols, so that it can be tested with plain facts."""

from __future__ import annotations

from typing import Any, Protocol


class StatusSource(Protocol):
    """Whoever knows the daemon's state and the ledger."""

    def status(self) -> dict[str, Any]:
        """The daemon's state from memory, at once: the object of `/api/v1/status`."""
        ...

    async def checkpoints(
        self, *, watch: str | None, series: str | None, state: str | None, limit: int
    ) -> list[dict[str, Any]]:
        """Checkpoints newest first, each as the API shows it."""
        ...

    async def checkpoint(self, identity: int) -> dict[str, Any] | None:
        """The full report of one, or None if there is no such id."""
        ...


class Control(Protocol):
    """Whoever can change something; every refusal is a `ControlError`."""

    async def reload(self) -> dict[str, Any]:
        """Read the config again."""
        ...

    async def prune(self, *, apply: bool, watch: str | None) -> dict[str, Any]:
        """Plan, and with `apply` carry out, the retention of one watch or all."""
        ...

    async def pin(self, path: str, note: str) -> dict[str, Any]:
        """Protect a checkpoint from pruning."""
        ...

    async def unpin(self, path: str) -> dict[str, Any]:
        """Take that protection away."""
        ...

    async def restore(self, path: str) -> dict[str, Any]:
        """Take a checkpoint out of the trash."""
        ...

    async def verify(self, path: str) -> dict[str, Any]:
        """Verify a checkpoint now, record it, and give its report."""
        ...


class ControlError(Exception):
    """A request that was understood and refused; the text is one sentence that says what to do."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status
