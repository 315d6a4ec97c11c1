"""The daemon: puts the packages together and owns their life cycle."""

from checkpointd.daemon import light_imports  # noqa: F401 - before others import what it does
from checkpointd.daemon.main import run

__all__ = ["run"]
