"""The daemon: puts the rooms together and owns their life cycle."""

from checkpointd.daemon.service import run

__all__ = ["run"]
