"""Runs a command, and turns each way in which it can end into an exit code and one sentence."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING, Any

from checkpointd import __version__
from checkpointd.cli import errors
from checkpointd.cli.arguments import config_of, is_run, modules_for
from checkpointd.core.text import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

_REPORT = (
    "This is a bug in checkpointd: please report it, with the lines above and what "
    "`checkpointd --version` prints."
)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: without the program's name; `sys.argv`'s by default.

    Returns:
        The exit code.
    """
    for stream in (sys.stdout, sys.stderr):
        _never_fail_on_names(stream)
    try:
        code = _run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        _drop_output()
        return errors.BROKEN_PIPE
    except OSError as error:
        _drop_output()
        return _fail(f"The output cannot be written: {error.strerror}.", errors.OWN_FAULT)
    return code


def _run(arguments: Sequence[str] | None) -> int:
    from checkpointd.config.errors import ConfigDeniedError, ConfigError

    try:
        code = _invoke(sys.argv[1:] if arguments is None else arguments)
    except errors.CliError as error:
        return _fail(str(error), error.code)
    except ConfigError as error:
        is_denied = isinstance(error, ConfigDeniedError)
        return _fail(str(error), errors.UNREACHABLE if is_denied else errors.CONFIG)
    except KeyboardInterrupt:
        return errors.INTERRUPTED
    except SystemExit as stopped:
        if isinstance(stopped.__context__, BrokenPipeError):  # typer has made an exit code of it
            raise BrokenPipeError from None
        raise
    except BrokenPipeError:
        raise
    except Exception as error:  # noqa: BLE001 - every fault of ours is reported here
        return _report_unexpected(error)
    return code if isinstance(code, int) else errors.OK


def _invoke(arguments: Sequence[str]) -> Any:
    """Run the command, and return what it returns."""
    if is_run(arguments):
        from checkpointd.cli.daemon_start import start_daemon

        return start_daemon(config_of(arguments))
    import typer

    from checkpointd.cli.app import make_app

    # The base of every usage error; where it lives differs between versions of typer.
    usage: Any = next(c for c in typer.BadParameter.__mro__ if c.__name__ == "ClickException")
    app = make_app(modules_for(arguments))
    try:
        return app(args=arguments, prog_name="checkpointd", standalone_mode=False)
    except usage as error:
        error.show()
        return int(error.exit_code)
    except typer.Abort:
        return errors.INTERRUPTED


def _drop_output() -> None:
    """Discard buffered output: its reader is gone, and Python would report an error at exit."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _never_fail_on_names(stream: Any) -> None:
    """Print names that the terminal's encoding cannot show as escapes instead of failing."""
    with contextlib.suppress(AttributeError, ValueError):
        stream.reconfigure(errors="backslashreplace")


def _fail(message: str, code: int) -> int:
    lines = [printable(line) for line in message.splitlines()]
    if not sys.stderr.isatty():
        print(*lines, sep="\n", file=sys.stderr)
        return code
    from checkpointd.cli.output import console, print_text

    for line in lines:
        print_text(console(sys.stderr), line)
    return code


def _report_unexpected(error: Exception) -> int:
    """Report an error that no command has caught: an unusable ledger or file, or a bug."""
    from checkpointd.core.permissions import cure_of_denial
    from checkpointd.ledger import LedgerError

    if isinstance(error, LedgerError):
        return _fail(str(error), errors.UNREACHABLE)
    if isinstance(error, PermissionError) and error.filename:
        name = os.fsdecode(error.filename)
        return _fail(f"{name}: {error.strerror}. {cure_of_denial(name)}", errors.UNREACHABLE)
    return _report_fault()


def _report_fault() -> int:
    """Report what broke and where, without a traceback."""
    import traceback

    kind, value, trace = sys.exc_info()
    frames = traceback.extract_tb(trace)[-3:]
    where = " < ".join(f"{os.path.basename(f.filename)}:{f.lineno}" for f in reversed(frames))
    name = kind.__name__ if kind else "error"
    print(f"checkpointd {__version__}: {name}: {printable(str(value))}", file=sys.stderr)
    print(f"at {where}", file=sys.stderr)
    return _fail(_REPORT, errors.OWN_FAULT)
