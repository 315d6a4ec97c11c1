"""What `evaluate` runs and reads, as it was last seen on disk: its file may be edited in place."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from checkpointd.core.evaluator import content_of
from checkpointd.core.verify_settings import Evaluation
from checkpointd.daemon.last_known import LastKnown

if TYPE_CHECKING:
    from collections.abc import Iterable

    from checkpointd.core.verify_settings import VerifySettings


@dataclass(frozen=True)
class _Evaluator:
    function: str
    data: str
    python_path: tuple[str, ...]


class Evaluators:
    """The last known content of each evaluator."""

    def __init__(self) -> None:
        self._known = LastKnown("evaluator", _look)

    def in_settings(self, settings: VerifySettings) -> VerifySettings:
        """The settings, with the content of what they evaluate with."""
        if not settings.evaluate.is_set:
            return settings
        content = self._known.get(_evaluator(settings)) or ""
        return replace(settings, evaluate=replace(settings.evaluate, content=content))

    async def check(self, settings: Iterable[VerifySettings]) -> None:
        """Look at what is evaluated with; a disk that hangs is not waited for."""
        await self._known.check({_evaluator(one) for one in settings if one.evaluate.is_set})

    def close(self) -> None:
        """Cancel what still looks."""
        self._known.close()


def _evaluator(settings: VerifySettings) -> _Evaluator:
    asked = settings.evaluate
    return _Evaluator(asked.function, asked.data, tuple(settings.python_path))


def _look(one: _Evaluator) -> str:
    return content_of(Evaluation(one.function, one.data), one.python_path)
