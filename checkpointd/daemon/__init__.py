"""The daemon: puts the packages together and owns their life cycle.

`daemon.main` runs it. It is not imported here: a command that needs one module of the daemon must
not wait for all others.
"""

from checkpointd.daemon import structlog_without_rich  # noqa: F401 - before any other import of it
