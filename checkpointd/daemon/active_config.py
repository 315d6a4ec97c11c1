"""The config in use, and the error of the last reload."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from checkpointd.config import Config


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
