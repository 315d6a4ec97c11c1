"""What must hold whatever happens to retention: how often it was looked at, and how often it held.

The counts of all test processes are added up and shown at the end of a run.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

LOST = "a good checkpoint is lost"
FLOOR = "fewer than keep_min_valid stay"
OUTSIDE = "anything outside the root, or not a checkpoint, changes"
GOLDEN = "a golden record is left without its checkpoint"
END = "a restart ends otherwise than without a fault"
TRAINER = "a training job or a reader fails"
INVARIANTS = (LOST, FLOOR, OUTSIDE, GOLDEN, END, TRAINER)
"""What must never happen."""


@dataclass
class Invariants:
    """Counts of one test process, or of all."""

    faults: Counter[str] = field(default_factory=Counter)
    situations: Counter[str] = field(default_factory=Counter)
    checked: Counter[str] = field(default_factory=Counter)
    violated: Counter[str] = field(default_factory=Counter)

    def never(self, name: str, happened: object, detail: object = "") -> None:
        """Count that something was looked for; fail if it happened."""
        assert name in INVARIANTS
        self.checked[name] += 1
        if happened:
            self.violated[name] += 1
            raise AssertionError(f"{name}: {detail or happened}")

    def dump(self) -> dict[str, dict[str, int]]:
        """As plain values."""
        return {name: dict(counts) for name, counts in vars(self).items()}

    def add(self, dumped: dict[str, dict[str, int]]) -> None:
        """Add the counts of another process."""
        for name, counts in dumped.items():
            counter: Counter[Any] = getattr(self, name)
            counter.update(counts)

    def table(self) -> str:
        """The counts as a person reads them; empty if there are none."""
        if not self.checked:
            return ""
        faults = ", ".join(f"{n} {name}" for name, n in sorted(self.faults.items()))
        found = [f"{n} {name}" for name, n in sorted(self.situations.items())]
        injected = [f"{self.faults.total()} faults injected: {faults}"] if faults else []
        rows = [
            "retention",
            *(f"    {line}" for line in [*injected, *found]),
            f"    {'never':56} looked at  happened",
            *(
                f"    {name:56} {self.checked[name]:9}  {self.violated[name]:8}"
                for name in INVARIANTS
                if self.checked[name]
            ),
        ]
        return "\n".join(rows)
