"""The paths of the config, the state and the roots; without the schema, because it is slow.

`latest`, which shell scripts call, needs no more of the config than this.
"""

from __future__ import annotations

import os
import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from checkpointd.config.errors import ConfigDeniedError, ConfigError, Problem
from checkpointd.config.service_place import running_service
from checkpointd.core.permissions import cure_of_denial, user_name
from checkpointd.core.urls import is_url

if TYPE_CHECKING:
    from collections.abc import Iterator

OrderBy = Literal["witnesses", "number", "save_time"]
"""What decides which checkpoint is newer: two witnesses that agree, or one of them alone."""

_STATE_DIR = re.compile(r"[ \t]*(?:daemon[ \t]*\.[ \t]*)?state_dir[ \t]*=")

DEFAULT_PATH = Path("/etc/checkpointd/config.toml")
"""The config that is read where no other is named."""

SERVICE_STATE_DIR = Path("/var/lib/checkpointd")
"""The `StateDirectory=` of the systemd unit; that of the instance for a user adds `-USER`."""


@dataclass(frozen=True)
class Locations:
    """The state directory, and the root of each watch by its name; all absolute, or URLs.

    `orders` are what `order` in `[watch.retention]` is, for the watches that have it.
    """

    state_dir: Path
    roots: dict[str, Path | str]
    orders: dict[str, OrderBy] = field(default_factory=dict)


def find(option: Path | None) -> Path:
    """The config's path: `--config`, else `$CHECKPOINTD_CONFIG`, else the first that can be read.

    Those are the system's, that of a service that runs, and the user's own. Where none can be
    read, it is the system's.
    """
    named = named_config(option)
    if named is not None:
        return named
    return next((path for path in _usual_paths() if os.access(path, os.R_OK)), DEFAULT_PATH)


def named_config(option: Path | None) -> Path | None:
    """The config that was asked for, by `--config` or `$CHECKPOINTD_CONFIG`; None for none."""
    named = os.environ.get("CHECKPOINTD_CONFIG")
    return option if option is not None else Path(named) if named else None


def _usual_paths() -> Iterator[Path]:
    yield DEFAULT_PATH
    service = running_service()
    if service is not None:
        yield service.config_path
    yield Path(f"{DEFAULT_PATH.parent}-{user_name(os.geteuid())}", DEFAULT_PATH.name)
    home = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    if os.path.isabs(home):
        yield Path(home, "checkpointd", "config.toml")


def unnamed_state_dir() -> Path:
    """Return the state directory where no config can be read: the first that can be used.

    Those are the one of a service that runs, the one of the system's service, and the user's own.
    Where nobody has kept a state yet it is the user's own; where there is a service whose state
    this user may not use, it is that of the service, so that the missing permission is reported.
    """
    service = running_service()
    places = [service.state_dir] if service is not None else []
    if not os.environ.get("STATE_DIRECTORY") and SERVICE_STATE_DIR.is_dir():
        places.append(SERVICE_STATE_DIR)
    own = default_state_dir()
    usable = (place for place in (*places, own) if os.access(place, os.R_OK | os.X_OK))
    return next(usable, places[0] if places else own)


def default_state_dir(config_dir: Path | None = None) -> Path:
    """Return the state directory of a config that does not name one.

    It is `$STATE_DIRECTORY` as systemd sets it. A command that is run by hand does not have that
    variable: for the config of a service it is the directory of that service, so that `status`
    finds the daemon. Otherwise it is the user's state directory.

    Args:
        config_dir: the directory of the config, if there is one.
    """
    given = os.environ.get("STATE_DIRECTORY", "").split(":")[0]
    if given:
        return Path(given).absolute()
    service = running_service() if config_dir is not None else None
    if service is not None and config_dir == service.config_path.parent:
        return service.state_dir
    instance = str(config_dir).removeprefix(str(DEFAULT_PATH.parent))
    installed = Path(f"{SERVICE_STATE_DIR}{instance}")
    if (not instance or instance.startswith("-")) and installed.is_dir():
        return installed
    import platformdirs

    return Path(platformdirs.user_state_dir("checkpointd"))


def absolute(path: str | Path, base: Path) -> Path:
    """Resolve `~`, then what is relative against `base`, without following symlinks."""
    return Path(os.path.normpath(base / os.path.expanduser(path)))


def root_at(path: str, base: Path) -> Path | str:
    """Resolve the path of a watch; a URL stays one, without a slash at its end."""
    return path.rstrip("/") if is_url(path) else absolute(path, base)


def read(path: Path) -> tuple[dict[str, Any], str]:
    """Read a TOML file.

    Returns:
        What it holds, and its text.

    Raises:
        ConfigDeniedError: this user may not read it.
        ConfigError: it is not there, cannot be read, or is not TOML.
    """
    try:
        text = path.read_bytes().decode()
        return tomllib.loads(text), text
    except FileNotFoundError:
        message = "there is no such file; `checkpointd config example` prints one"
    except IsADirectoryError:
        message = "this is a directory, not a config"
    except PermissionError as error:
        raise ConfigDeniedError(path, str(error.strerror), cure_of_denial(path)) from None
    except OSError as error:
        message = f"cannot be read: {error.strerror}"
    except UnicodeDecodeError as error:
        message = f"is not UTF-8 at byte {error.start}"
    except tomllib.TOMLDecodeError as error:
        message = f"is not TOML: {error}"
    except RecursionError:
        message = "is nested too deeply to be a config"
    raise ConfigError(path, [Problem("", message)])


def locations(path: Path) -> Locations | None:
    """Read the locations from a config that is right in these keys; None if it is not.

    Raises:
        ConfigError: it is not there, cannot be read, or is not TOML.
    """
    data, _ = read(path)
    base = path.absolute().parent
    daemon, watches = data.get("daemon", {}), data.get("watch", [])
    state = daemon.get("state_dir") if isinstance(daemon, dict) else 0
    if not isinstance(state, str | None) or not isinstance(watches, list):
        return None
    roots: dict[str, Path | str] = {}
    orders: dict[str, OrderBy] = {}
    for watch in watches:
        name = watch.get("name") if isinstance(watch, dict) else None
        root = watch.get("path") if isinstance(watch, dict) else None
        if not (isinstance(name, str) and isinstance(root, str) and name and root):
            return None
        roots[name] = root_at(root, base)
        retention = watch.get("retention")
        order: Any = retention.get("order") if isinstance(retention, dict) else None
        if order in get_args(OrderBy):
            orders[name] = order
    return Locations(absolute(state, base) if state else default_state_dir(base), roots, orders)


def salvage(path: Path) -> Locations:
    """Take what can still be read out of a config that is broken.

    A watch whose name or path cannot be read is left out.

    Raises:
        ConfigError: it cannot be read, or its state directory cannot be read.
    """
    base = path.absolute().parent
    try:
        data, _ = read(path)
        daemon = data.get("daemon", {})
        state = daemon.get("state_dir", "") if isinstance(daemon, dict) else ""
    except ConfigError:
        data, state = {}, _state_dir_in(path)
    if not isinstance(state, str):
        raise ConfigError(path, [Problem("daemon.state_dir", "must be a path in quotes")])
    watches = data.get("watch", [])
    roots = {
        watch["name"]: root_at(watch["path"], base)
        for watch in (watches if isinstance(watches, list) else [])
        if isinstance(watch, dict)
        and all(isinstance(watch.get(key), str) and watch[key] for key in ("name", "path"))
    }
    return Locations(absolute(state, base) if state else default_state_dir(base), roots)


def _state_dir_in(path: Path) -> Any:
    """Return `state_dir` of a text that is not TOML: empty if absent, None if not a path."""
    try:
        text = path.read_bytes().decode(errors="surrogateescape")
    except OSError:
        _, text = read(path)  # raises with the message
    for line in text.splitlines():
        if _STATE_DIR.match(line):
            try:
                data = tomllib.loads(line)
            except (tomllib.TOMLDecodeError, RecursionError):
                return None
            return data.get("state_dir") or data.get("daemon", {}).get("state_dir")
    return ""
