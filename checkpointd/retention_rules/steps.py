"""Rules that choose by the training step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from checkpointd.retention_rules.order import runs_of
from checkpointd.retention_rules.spec import SavedCheckpoint, Value

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True)
class KeepEveryNSteps:
    """The first at or after each multiple of `n` steps, in each run; needs a step."""

    name: ClassVar[str] = "keep_every_n_steps"
    n: Annotated[int, Value.STEPS]

    def claim(self, newest_first: Sequence[SavedCheckpoint], now: float) -> Mapping[int, str]:  # noqa: ARG002 - the rules' signature
        """Claim the lowest step of each stretch of `n`."""
        claimed: dict[int, str] = {}
        for run in runs_of(newest_first[::-1]):
            seen: set[int] = set()
            for checkpoint in run:
                step = checkpoint.step
                if step is not None and step // self.n not in seen:
                    seen.add(step // self.n)
                    start = step // self.n * self.n
                    claimed[checkpoint.id] = (
                        f"step {step} is the first from {start} on ({self.name})"
                    )
        return claimed
