"""The daemon: puts the packages together and owns their life cycle."""

from checkpointd.daemon import structlog_without_rich  # noqa: F401 - before any other import of it
from checkpointd.daemon.main import run

__all__ = ["run"]
