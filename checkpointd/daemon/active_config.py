"""The config that is in force, and what became of the last attempt to read it again."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from checkpointd.config import Config


@dataclass
class ActiveConfig:
    """Changed by a reload alone.

    Args:
        path: where the config is read from.
        config: what is in force.
        error: why the last reload failed, wholly or in part; empty if it did not.
        loaded_at: when what is in force was read (seconds since the epoch).
    """

    path: Path
    config: Config
    error: str = ""
    loaded_at: float = field(default_factory=time.time)
