"""The config in use, and the error of the last reload."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog

from checkpointd.config.advice import advice
from checkpointd.config.validate import key_of

if TYPE_CHECKING:
    from pathlib import Path

    from checkpointd.config import Config

log = structlog.get_logger(__name__)


@dataclass
class ActiveConfig:
    """Only a reload changes it.

    Args:
        path: where the config is read from.
        config: what is in use.
        error: why the last reload failed, wholly or in part; empty if it did not.
        loaded_at: when the config in use was read (seconds since the epoch).
    """

    path: Path
    config: Config
    error: str = ""
    loaded_at: float = field(default_factory=time.time)

    def problems(self) -> list[str]:
        """Return warnings about settings that are valid but probably a mistake."""
        return [f"{key_of(loc)}: {message}" for loc, message in advice(self.config)]

    def log_problems(self) -> None:
        """Log warnings about settings that are valid but probably a mistake."""
        for problem in self.problems():
            log.warning("the config has a warning", warning=problem)
