"""The last known content of what `evaluate` runs and reads: its file may be edited in place."""

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
        self._known = LastKnown("evaluator", _describe)

    def in_settings(self, settings: VerifySettings) -> VerifySettings:
        """The settings, with the content of what they evaluate with."""
        if not settings.evaluate.is_set:
            return settings
        content = self._known.get(_evaluator(settings)) or ""
        return replace(settings, evaluate=replace(settings.evaluate, content=content))

    async def check(self, settings: Iterable[VerifySettings]) -> None:
        """Read again what `settings` evaluate with; does not wait for a disk that hangs."""
        await self._known.check({_evaluator(one) for one in settings if one.evaluate.is_set})

    def close(self) -> None:
        """Cancel all checks that still run."""
        self._known.close()


def _evaluator(settings: VerifySettings) -> _Evaluator:
    evaluation = settings.evaluate
    return _Evaluator(evaluation.function, evaluation.data, tuple(settings.python_path))


def _describe(evaluator: _Evaluator) -> str:
    return content_of(Evaluation(evaluator.function, evaluator.data), evaluator.python_path)
