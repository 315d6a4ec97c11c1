"""The daemon: puts the packages together and owns their life cycle.

`daemon.main` runs it. It is not imported here: a command that needs one module of the daemon must
not wait for all others.
"""

from checkpointd.daemon import light_imports  # noqa: F401 - before others import what it does
