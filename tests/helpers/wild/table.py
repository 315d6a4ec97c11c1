"""The table of good checkpoints: each a sentence, how it is written, and what it must show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

INTACT = frozenset({"intact"})
LOADS = INTACT | {"loads"}
RUNS = LOADS | {"runs"}
PREDICTS = RUNS | {"predicts"}


@dataclass(frozen=True)
class Case:
    """One good checkpoint.

    `write` puts it at the path that it is given, below a directory of its own that is there;
    `ending` is what that path ends in. `shows` is what a report must have shown at the least.
    `settings` are lines for the `[watch.verify]` of a watch of its own.
    """

    sentence: str
    write: Callable[[Path], Any]
    ending: str = ""
    shows: frozenset[str] = RUNS
    settings: str = ""

    @property
    def slug(self) -> str:
        """The name of the case's own directory."""
        return "".join(c if c.isalnum() else "_" for c in self.sentence)[:120]

    def path(self, root: Path) -> Path:
        """Where it lies below the root of its group."""
        return root / self.slug / ("m" + self.ending)


def write_all(cases: Iterable[Case], root: Path) -> dict[str, str]:
    """Write every case; gives what went wrong, by sentence."""
    import traceback

    problems = {}
    for case in cases:
        path = case.path(root)
        path.parent.mkdir(parents=True)
        try:
            case.write(path)
        except Exception:  # noqa: BLE001 - told in the test of the case
            problems[case.sentence] = traceback.format_exc()
    return problems


def config_of(cases: Iterable[Case], root: Path) -> str:
    """A config in which every case with settings has a watch of its own."""
    watches = [
        f"[[watch]]\nname = 'w{number}'\npath = '{case.path(root).parent}'\n"
        f"[watch.verify]\n{case.settings}\n"
        for number, case in enumerate(cases)
        if case.settings
    ]
    return f"[daemon]\nstate_dir = '{root}-state'\n" + "".join(watches)
