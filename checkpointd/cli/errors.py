"""The exit codes, and the errors that carry one."""

from __future__ import annotations

OK = 0
INVALID = 1
USAGE = 2
INCONCLUSIVE = 3
NOTHING = 4
UNREACHABLE = 69
"""The daemon cannot be asked, or what it keeps, the ledger, cannot be used."""
OWN_FAULT = 70
CONFIG = 78
INTERRUPTED = 130
BROKEN_PIPE = 141


class CliError(Exception):
    """Ends the command: one sentence for people, and the exit code for scripts."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code
