"""The daemon: puts the packages together and owns their life cycle."""

from checkpointd.daemon.main import run

__all__ = ["run"]
