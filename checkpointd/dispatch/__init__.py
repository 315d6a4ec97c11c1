"""Who runs a verification and with what limits, behind one protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from checkpointd.config import WorkerSettings
    from checkpointd.core.check_result import CheckResult
    from checkpointd.core.format_specs import Format
    from checkpointd.core.request import Answer, Request
    from checkpointd.core.verify_settings import VerifySettings


class Dispatcher(Protocol):
    """Turns requests into answers; safe to call from one event loop, many at a time."""

    async def verify(
        self, request: Request, on_check: Callable[[CheckResult], None] | None = None
    ) -> Answer:
        """Verify one generation; never raises for what a checkpoint or a child can do."""

    async def inspect(self, path: str, fmt: Format) -> dict[str, Any]:
        """Describe what a checkpoint holds, without TensorFlow, or `{"error": message}`."""

    async def warm(self, settings: VerifySettings) -> None:
        """Start the interpreters of these settings, so that their imports are over in time."""

    def renew(self, python: str) -> None:
        """Load with a fresh interpreter from now on: its installed packages have changed."""

    async def close(self) -> None:
        """End every process that was started."""

    def forget(self, used: Collection[str]) -> None:
        """Forget the interpreters that no settings name any more."""

    def configure(self, worker: WorkerSettings) -> None:
        """Use other settings from now on; `concurrency` and `idle_exit` stay as they are."""

    @property
    def capacity(self) -> int:
        """How many verifications may go on at a time; it may change."""

    def engine(self) -> dict[str, Any]:
        """Return who verifies: `name`, and for a cluster what `observe.status` has of it."""

    def status(self) -> list[dict[str, Any]]:
        """Return the processes behind it: `kind`, `up`, `pid`, `busy`, `python`, `message`."""


__all__ = ["Dispatcher"]
