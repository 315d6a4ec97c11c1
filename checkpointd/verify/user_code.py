"""The user's code: custom objects, builders, evaluations, checks; found by `module:name`.

It is imported only in the child, so its effects end with the child.
"""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from typing import TYPE_CHECKING, Any

from checkpointd.verify.suite import printable

if TYPE_CHECKING:
    from checkpointd.core.verify_settings import VerifySettings


CONFINED = "CHECKPOINTD_CONFINED"
"""Set in the environment of a process that is in the sandbox."""

_SANDBOX = (
    "refused by the sandbox: name what it has to read in read_paths of [watch.verify]; it can "
    "write in its temporary directory alone, and use no network and no other process"
)
_DENIED = ("PermissionDeniedError",)
"""TensorFlow's name of that error."""

_MOST_CAUSES = 8
_OURS = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep


class UserCodeError(Exception):
    """The user's code could not be used; the message names it and says what to do."""


def use_python_path(settings: VerifySettings) -> None:
    """Let this process find the user's modules: `python_path`, in its order, before all else."""
    for directory in reversed(settings.python_path):
        if directory not in sys.path:
            sys.path.insert(0, directory)


def custom_objects(settings: VerifySettings) -> dict[str, Any]:
    """Import every custom object that the settings name.

    Raises:
        UserCodeError: one of them cannot be imported.
    """
    return {
        name: resolve(target, f"custom_objects names {target!r} for {name!r}")
        for name, target in settings.custom_objects.items()
    }


def import_all(settings: VerifySettings) -> None:
    """Import what the settings name for loading, and call nothing yet.

    Raises:
        UserCodeError: it cannot be imported.
    """
    custom_objects(settings)
    if settings.builder:
        resolve(settings.builder, f"builder is {settings.builder!r}")


def build(settings: VerifySettings) -> Any:
    """Call the builder that the settings name.

    Raises:
        UserCodeError: it cannot be imported, or it fails.
    """
    builder = resolve(settings.builder, f"builder is {settings.builder!r}")
    try:
        return builder()
    except MemoryError:
        raise
    except Exception as error:
        raise UserCodeError(
            f"The builder {settings.builder!r} failed with {_describe(error)}: it is called "
            "without arguments and has to return the model."
        ) from error


def call(function: Any, argument: Any, name: str) -> Any:
    """Call a user's function with one argument, and turn whatever it raises into a `UserCodeError`.

    Args:
        function: what to call.
        argument: what to give it.
        name: its name in the message.

    Raises:
        UserCodeError: it raised anything, or tried to end the process.
        MemoryError: there was not enough memory.
    """
    try:
        return function(argument)
    except (MemoryError, UserCodeError):
        raise
    except BaseException as error:  # sys.exit() too ends the user's function and no more
        raise UserCodeError(f"{name} failed with {_describe(error)}{_line(error)}.") from error


def _line(error: BaseException) -> str:
    """Where in the user's code an error came from: the last line that is not a library's."""
    frames = traceback.extract_tb(error.__traceback__)
    users = [f for f in frames if "site-packages" not in f.filename and _OURS not in f.filename]
    if not users:
        return ""
    return printable(f" ({os.path.basename(users[-1].filename)}, line {users[-1].lineno})")


def resolve(target: str, where: str) -> Any:
    """Import `module:name`; the name may have dots.

    Raises:
        UserCodeError: there is no such module, it fails, or it has no such name.
    """
    module_name, _, path = target.partition(":")
    try:
        value: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise UserCodeError(
            f"In [watch.verify] {where}, but there is no module {error.name!r}: add its directory "
            "to python_path, or set python to the training job's interpreter."
        ) from error
    except (Exception, SystemExit) as error:
        raise UserCodeError(
            f"In [watch.verify] {where}, but importing {module_name!r} failed with "
            f"{_describe(error)}."
        ) from error
    for part in path.split("."):
        if not hasattr(value, part):
            raise UserCodeError(
                f"In [watch.verify] {where}, but {module_name!r} has no {path!r}: correct the name."
            )
        value = getattr(value, part)
    return value


def _describe(error: BaseException) -> str:
    text = " ".join(str(error).split())
    described = printable(f"{type(error).__name__}: {text}" if text else type(error).__name__, 500)
    return f"{described} ({_SANDBOX})" if _was_refused(error) else described


def _was_refused(error: BaseException | None) -> bool:
    """Whether an error, or one of its causes, came from the sandbox."""
    if CONFINED not in os.environ:
        return False
    for _ in range(_MOST_CAUSES):
        if error is None:
            break
        if isinstance(error, PermissionError) or type(error).__name__ in _DENIED:
            return True
        error = error.__cause__ or error.__context__
    return False
