"""The exit codes, and the errors that carry one."""

from __future__ import annotations

OK = 0
INVALID = 1
USAGE = 2
INCONCLUSIVE = 3
NOTHING = 4
REFUSED = 5
FAILED = 6
NOT_BEGUN = 7
UNREACHABLE = 69
OWN_FAULT = 70
CONFIG = 78
INTERRUPTED = 130
BROKEN_PIPE = 141

EXIT_CODES = {
    OK: "Success; for `verify`: all are valid.",
    INVALID: "At least one is invalid; for `status`: not healthy; for `diff`: they differ.",
    USAGE: "Wrong usage, no such path, or what is there is no checkpoint.",
    INCONCLUSIVE: (
        "None is invalid, at least one is inconclusive; for `latest`: it is not certain which is "
        "the newest; for `diff`: it is not certain that they are the same."
    ),
    NOTHING: "Nothing was found, none is valid, or the wait timed out.",
    REFUSED: "`prune --apply`: not all was removed; a check right before refused at least one; "
    "`restore`: not all came back.",
    FAILED: "`prune --apply`: the file system or the ledger failed at least one removal.",
    NOT_BEGUN: "`prune --apply` changed nothing: the config file is not what runs, the plan has "
    "grown, or no watch is in `enforce`.",
    UNREACHABLE: (
        "The daemon cannot be reached or cannot start, there is no state of one, its ledger cannot "
        "be used, or a permission is missing."
    ),
    OWN_FAULT: "An internal error of checkpointd.",
    CONFIG: "The config is wrong.",
    INTERRUPTED: "Interrupted by Ctrl-C or SIGTERM.",
    BROKEN_PIPE: "The pipe that the output went to was closed.",
}
"""Every exit code and its meaning, for the manual."""


class CliError(Exception):
    """Ends the command with one sentence for people, and an exit code for scripts.

    Args:
        message: what is wrong.
        code: the exit code.
        cure: what to do about it, if that is a sentence of its own.
    """

    def __init__(self, message: str, code: int, cure: str = "") -> None:
        super().__init__(f"{message} {cure}".strip())
        self.message = message
        self.code = code
        self.cure = cure


class NoStateError(CliError):
    """There is no ledger: no daemon has run here, or its state is elsewhere."""

    def __init__(self, message: str) -> None:
        super().__init__(message, UNREACHABLE)


class DeniedError(CliError):
    """This user may not do that; the cure names who may, and how to be one of them."""

    def __init__(self, message: str, cure: str = "") -> None:
        super().__init__(message, UNREACHABLE, cure)
