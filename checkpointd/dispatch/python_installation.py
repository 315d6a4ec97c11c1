"""What is installed for an interpreter, as far as can be read from disk without running it.

Names and versions are those of the `.dist-info` directories that installers leave in the
interpreter's library directories (`lib/python3*/site-packages`).
"""

from __future__ import annotations

import contextlib
import glob
import hashlib
import os
import platform
import re
import sys
from typing import TYPE_CHECKING

from checkpointd.dispatch.foreign_packages import OLDEST_PYTHON

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_NAMED = re.compile(
    r"tensorflow(-cpu|-gpu|-intel|-macos)?|tf-nightly.*|keras(-nightly)?|tf-keras|jax|torch"
)
_DISTRIBUTION = re.compile(r"(.+?)-([^-]+)(-py[\d.]+)?\.(dist|egg)-info")
_HARMLESS = {"distutils-precedence.pth"}
_BACKENDS = ("tensorflow", "tensorflow.py", "jax", "torch")
_CONFIG = "pyvenv.cfg"
_CONFIG_BYTES = 64 * 1024


def describe_runtime(python: str) -> str:
    """Describe an interpreter and what is installed for it; reads the disk, which may hang.

    When the text changes, invalid and inconclusive checkpoints are verified again: installing
    tf-keras is the cure for some, upgrading TensorFlow for others.

    Args:
        python: an absolute path; empty for the daemon's own interpreter.
    """
    is_own = python in ("", sys.executable)
    if is_own:
        found, file = installed_distributions(sys.path), ""
        version = platform.python_version()
    else:
        found, file = installed_distributions(library_directories(python)), _file_identity(python)
        version = python_version(python)
    names = [f"{name} {found[name]}" for name in sorted(found) if _NAMED.fullmatch(name)]
    text = "\n".join([file, *(f"{name} {found[name]}" for name in sorted(found))])
    digest = hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:12]
    summary = ", ".join([f"python {version}".strip(), *names])
    return f"{'' if is_own else python + ': '}{summary}, {len(found)} distributions {digest}"


def library_directories(python: str) -> list[str]:
    """Return the directories in which an interpreter of this path finds its packages."""
    prefixes = [os.path.dirname(os.path.dirname(python))]
    config = venv_config(python)
    if config and config.get("include-system-site-packages", "").lower() == "true":
        prefixes.append(os.path.dirname(config.get("home", "")))
    elif not config:
        prefixes.append(os.path.dirname(os.path.dirname(os.path.realpath(python))))
    return sorted(
        {
            os.path.realpath(path)
            for prefix in prefixes
            for within in ("lib*/python3*", "local/lib*/python3*")
            for name in ("site-packages", "dist-packages")
            for path in glob.glob(os.path.join(glob.escape(prefix), within, name))
        }
    )


def installed_distributions(directories: Iterable[str]) -> dict[str, str]:
    """Return the versions of installed packages by normalised name; the first directory counts."""
    versions: dict[str, str] = {}
    for directory in directories:
        with contextlib.suppress(OSError), os.scandir(directory or ".") as entries:
            for entry in entries:
                if match := _DISTRIBUTION.fullmatch(entry.name):
                    versions.setdefault(re.sub(r"[-_.]+", "-", match[1]).lower(), match[2])
    return versions


def venv_config(python: str) -> Mapping[str, str]:
    """Return the `pyvenv.cfg` of a virtual environment; empty for any other interpreter."""
    for directory in (os.path.dirname(os.path.dirname(python)), os.path.dirname(python)):
        with contextlib.suppress(OSError), open(os.path.join(directory, _CONFIG), "rb") as file:
            lines = file.read(_CONFIG_BYTES).decode("utf-8", "replace").splitlines()
            pairs = (line.partition("=") for line in lines)
            return {key.strip().lower(): value.strip() for key, _, value in pairs}
    return {}


def python_version(python: str) -> str:
    """Return the Python version of a virtual environment, such as `3.9.18`; empty if unknown."""
    config = venv_config(python)
    version = config.get("version") or config.get("version_info", "")
    match = re.match(r"\d+\.\d+(\.\d+)?", version)
    return match[0] if match else ""


def why_unusable(python: str) -> str:
    """Explain why an interpreter cannot load checkpoints, as far as is seen without running it.

    Returns:
        A clause that begins with a verb; empty if no reason is seen.
    """
    if not os.path.exists(python):
        return "does not exist"
    if os.path.isdir(python) or not os.access(python, os.X_OK):
        return "is not an executable file"
    version = python_version(python)
    if version and tuple(int(part) for part in version.split(".")[:2]) < OLDEST_PYTHON:
        return f"is Python {version}, and {'.'.join(map(str, OLDEST_PYTHON))} or newer is needed"
    return "" if _may_have_backend(python) else "has no TensorFlow, JAX or torch"


def _may_have_backend(python: str) -> bool:
    """Whether a backend of Keras is installed for a virtual environment, or may be elsewhere."""
    config = venv_config(python)
    if not config or config.get("include-system-site-packages", "").lower() == "true":
        return True
    names: set[str] = set()
    for directory in library_directories(python):
        with contextlib.suppress(OSError):
            names.update(os.listdir(directory))
    elsewhere = {n for n in names if n.endswith((".pth", ".egg-link"))} - _HARMLESS
    return not names or bool(elsewhere) or not names.isdisjoint(_BACKENDS)


def _file_identity(python: str) -> str:
    """Return the identity of the program file; empty if it cannot be read."""
    with contextlib.suppress(OSError):
        status = os.stat(python)
        return f"{os.path.realpath(python)} {status.st_size} {status.st_mtime_ns}"
    return ""
