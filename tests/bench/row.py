"""What a row of the benchmark is: a quantity, its yardstick in the same run, and its target."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.bench.place import Place


@dataclass(frozen=True)
class Measured:
    """One quantity of one run.

    Attributes:
        what: names it.
        value: the ratio, or the number where there is nothing to compare with.
        unit: of `value`.
        target: the least or the most that it should be.
        most: whether `target` is the most.
        facts: what the ratio was made of, in seconds or as the keys say.
    """

    what: str
    value: float
    unit: str
    target: float | None = None
    most: bool = True
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def is_met(self) -> bool:
        """Whether the target is reached."""
        if self.target is None:
            return True
        return self.value <= self.target if self.most else self.value >= self.target

    def to_json(self) -> dict[str, Any]:
        """As an object for JSON."""
        return {
            "what": self.what,
            "value": round(self.value, 4),
            "unit": self.unit,
            "target": self.target,
            "bound": "most" if self.most else "least",
            "met": self.is_met,
            **{key: round(v, 4) if isinstance(v, float) else v for key, v in self.facts.items()},
        }

    def to_text(self) -> str:
        """As a line of the table."""
        wanted = ""
        if self.target is not None:
            wanted = f"{'≤' if self.most else '≥'} {self.target:g}"
        facts = ", ".join(
            f"{key.replace('_', ' ')} {v:.3g}" if isinstance(v, float) else f"{key} {v}"
            for key, v in self.facts.items()
        )
        mark = " " if self.is_met else "!"
        return f"{mark} {self.what:<58} {self.value:>8.2f} {self.unit:<6} {wanted:<8} {facts}"


@dataclass(frozen=True)
class Row:
    """One thing that is measured, by name; what it measures may be several quantities."""

    name: str
    measure: Callable[[Place], Sequence[Measured]]


def faster(what: str, ours: float, theirs: float, least: float, **facts: Any) -> Measured:
    """How many times faster we are than the yardstick; both in seconds."""
    made = {"ours": ours, "yardstick": theirs, **facts}
    return Measured(what, theirs / ours, "x", least, most=False, facts=made)


def longer(what: str, ours: float, theirs: float, most: float, **facts: Any) -> Measured:
    """How many times the yardstick's time we need; both in seconds."""
    made = {"ours": ours, "yardstick": theirs, **facts}
    return Measured(what, ours / theirs, "x", most, facts=made)


def median(values: Sequence[float]) -> float:
    """The median."""
    return float(statistics.median(values))
