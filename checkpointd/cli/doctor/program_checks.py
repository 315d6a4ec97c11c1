"""Checks of the interpreters that load checkpoints, and of the commands that hooks run."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

from checkpointd.cli.doctor.finding import NO_CONFIG, ok, problem, unknown, warning
from checkpointd.dispatch.python_installation import why_unusable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from checkpointd.cli.doctor.finding import Finding
    from checkpointd.cli.doctor.host import Host

_SECONDS = 120.0
_PASSED = ("PATH", "LANG", "LD_LIBRARY_PATH")
_IMPORT = """
import platform, sys
found = ["python " + platform.python_version()]
errors = []
for name in ("tensorflow", "keras", "tf_keras", "jax", "torch"):
    try:
        module = __import__(name)
        found.append(name + " " + getattr(module, "__version__", "?"))
    except ImportError as error:
        if name == "tensorflow":
            errors.append(str(error))
    except Exception as error:
        errors.append(name + ": " + type(error).__name__ + ": " + str(error))
print("\\n".join([", ".join(found), *(" ".join(e.split()) for e in errors)]))
"""


def interpreters(host: Host) -> Iterator[Finding]:
    """Whether each interpreter that loads checkpoints imports TensorFlow, as the service's user."""
    watches = host.config.watch if host.config is not None else ()
    named = {str(w.verify.python): w.name for w in watches if w.verify.python}
    own = any(not w.verify.python for w in watches) or not watches
    if not host.account.can_be_tried:
        yield unknown("No program can be run as the service's user.", host.needs_sudo)
        return
    for python, name in [*([(sys.executable, "")] if own else ()), *named.items()]:
        where = f"{name}: {python}" if name else python
        why = why_unusable(python)
        if why:
            yield problem(f"{where} {why}.", "Correct `python` in [watch.verify].")
            continue
        yield _import(host, python, where)


def _import(host: Host, python: str, where: str) -> Finding:
    """Import what loads checkpoints, as the user that the service runs as."""
    passed = (*_PASSED, "PYTHONPATH") if python == sys.executable else _PASSED
    kept = {name: os.environ[name] for name in passed if name in os.environ}
    quiet = {
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "CUDA_VISIBLE_DEVICES": "-1",
        "KERAS_HOME": "/nonexistent",
    }
    try:
        done = subprocess.run(
            [python, "-B", "-c", _IMPORT],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_SECONDS,
            check=False,
            cwd="/",
            env={**kept, **quiet, "HOME": "/nonexistent"},
            **host.account.popen,
        )
    except subprocess.TimeoutExpired:
        cure = "Is its disk slow? Install it on a local one."
        return warning(f"{where} has not imported TensorFlow after {_SECONDS:g} s.", cure)
    except OSError as error:
        message = f"{host.account.name} may not run {where}: {error.strerror}."
        return problem(message, "Install it where the service may read it, such as in /opt.")
    lines = done.stdout.strip().splitlines()
    if done.returncode or not lines:
        last = (done.stderr.strip().splitlines() or ["no output"])[-1]
        message = f"{where} ends with {done.returncode} when it imports TensorFlow: {last}"
        return problem(message, f"Run `{python} -c 'import tensorflow'` to see why.")
    if len(lines) > 1:
        message = f"{where} cannot import all of it: {lines[1]}"
        return problem(message, f"`{python} -m pip install tensorflow`.")
    return ok(f"{where}: {lines[0]}")


def hooks(host: Host) -> Iterator[Finding]:
    """Whether the service may run the command of each hook."""
    from checkpointd.cli.named_files import hook_warnings

    if host.config is None:
        yield unknown(*NO_CONFIG)
        return
    watches, count = host.config.watch, 0
    for watch in watches:
        warnings = list(hook_warnings(watch, host.account))
        count += len(warnings)
        for _, message in warnings:
            cure = "Make it executable for the service, or name another in [watch.hooks]."
            yield problem(f"{watch.name}: {message}.", cure)
    if not count:
        has_any = any(watch.hooks.commands for watch in watches)
        yield ok("every command can be run" if has_any else "none")
