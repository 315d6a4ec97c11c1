"""The errors of a config, each with its line in the file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Problem:
    """One error of a config.

    `key` is the key (`watch[0].retention.keep_last`), `line` its line in the file, 0 if it
    has none; `message` explains what to change.
    """

    key: str
    message: str
    line: int = 0

    def __str__(self) -> str:
        return ": ".join(
            part
            for part in (f"line {self.line}" if self.line else "", self.key, self.message)
            if part
        )


class ConfigError(Exception):
    """A config that cannot be used; `problems` lists every error of it."""

    def __init__(self, path: Path, problems: list[Problem]) -> None:
        super().__init__("\n".join(f"{path}: {problem}" for problem in problems))
        self.path = path
        self.problems = problems


class ConfigDeniedError(ConfigError):
    """A config that this user may not read; nothing is known to be wrong with it."""

    def __init__(self, path: Path, why: str, cure: str) -> None:
        super().__init__(path, [Problem("", f"cannot be read: {why}. {cure}")])
        self.message = f"{path} cannot be read: {why}."
        self.cure = cure
