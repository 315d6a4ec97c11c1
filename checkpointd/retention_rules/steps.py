"""Rules that choose by the training step; a checkpoint without one is kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from checkpointd.retention_rules.order import runs_of
from checkpointd.retention_rules.spec import Obstacle, SavedCheckpoint, Value

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    Run = Sequence[tuple[int, int]]
    """The id and the step of each checkpoint of a run, oldest first."""

    Chosen = Iterator[tuple[int, str]]


@dataclass(frozen=True)
class KeepEveryNSteps:
    """One checkpoint in `n` steps, in each run.

    The modes are Orbax's `EveryNSteps` with and without `exact_interval`, its
    `EveryNStepsClosest`, and `first`.
    """

    name: ClassVar[str] = "keep_every_n_steps"
    n: Annotated[int, Value.STEPS, "How many training steps."]
    mode: Annotated[
        Literal["first", "exact", "at_least", "closest"],
        "`first`: the first at or after each multiple of `n`. `exact`: multiples of `n` alone. "
        "`at_least`: the first of all, and each that is `n` steps or more after the one kept "
        "before it. `closest`: the closest to each multiple of `n`, and the last.",
    ] = "first"

    def claim(self, newest_first: Sequence[SavedCheckpoint], now: float) -> Mapping[int, str]:  # noqa: ARG002 - the rules' signature
        """Claim by the mode, in each run."""
        choose = {
            "first": self._first_at_multiples,
            "exact": self._exact,
            "at_least": self._at_least,
            "closest": self._closest,
        }[self.mode]
        claimed = _without_step(newest_first, self.name)
        for run in runs_of(newest_first[::-1]):
            steps = [(c.id, c.step) for c in run if c.step is not None]
            claimed.update((i, f"{text} ({self.name})") for i, text in choose(steps))
        return claimed

    def obstacle(self, newest_first: Sequence[SavedCheckpoint]) -> Obstacle | None:
        """Why the rule cannot be evaluated: no checkpoint has a step."""
        return _no_steps(newest_first, self.name)

    def _first_at_multiples(self, run: Run) -> Chosen:
        seen: set[int] = set()
        for identity, step in run:
            start = step // self.n * self.n
            if start not in seen:
                seen.add(start)
                yield identity, f"step {step} is the first from {start} on"

    def _exact(self, run: Run) -> Chosen:
        for identity, step in run:
            if step % self.n == 0:
                yield identity, f"step {step} is a multiple of {self.n}"

    def _at_least(self, run: Run) -> Chosen:
        before: int | None = None
        for identity, step in run:
            if before is None:
                yield identity, f"step {step} is the first of its run"
            elif step - before >= self.n:
                yield (
                    identity,
                    f"step {step} is at least {self.n} after {before}, the one kept before",
                )
            else:
                continue
            before = step

    def _closest(self, run: Run) -> Chosen:
        best: dict[int, tuple[int, int]] = {}
        for identity, step in run:
            target = _nearest_multiple(step, self.n)
            if target not in best or abs(step - target) <= abs(best[target][1] - target):
                best[target] = identity, step
        for identity, step in run[-1:]:
            yield identity, f"step {step} is the last of its run"
        for target, (identity, step) in best.items():
            yield identity, f"step {step} is the closest to {target}"


@dataclass(frozen=True)
class KeepSteps:
    """The steps of a list, in every run."""

    name: ClassVar[str] = "keep_steps"
    steps: Annotated[tuple[int, ...], Value.STEP_LIST]

    def claim(self, newest_first: Sequence[SavedCheckpoint], now: float) -> Mapping[int, str]:  # noqa: ARG002 - the rules' signature
        """Claim what is in the list."""
        listed = frozenset(self.steps)
        return _without_step(newest_first, self.name) | {
            c.id: f"step {c.step} is in the list ({self.name})"
            for c in newest_first
            if c.step in listed
        }

    def obstacle(self, newest_first: Sequence[SavedCheckpoint]) -> Obstacle | None:
        """Why the rule cannot be evaluated: no checkpoint has a step."""
        return _no_steps(newest_first, self.name)


def _no_steps(checkpoints: Sequence[SavedCheckpoint], name: str) -> Obstacle | None:
    if not checkpoints or any(c.step is not None for c in checkpoints):
        return None
    return Obstacle(
        "steps_missing", f"no valid checkpoint has a training step, and {name} needs one"
    )


def _without_step(checkpoints: Sequence[SavedCheckpoint], name: str) -> dict[int, str]:
    """Claim what the rule cannot be evaluated for: it removes nothing."""
    reason = f"it has no training step, and {name} needs one"
    return {c.id: reason for c in checkpoints if c.step is None}


def _nearest_multiple(step: int, n: int) -> int:
    """Of two that are equally near the one that is an even multiple, as Python rounds."""
    number, rest = divmod(step, n)
    up = 2 * rest > n or (2 * rest == n and number % 2 == 1)
    return (number + up) * n
