"""Where the running service is, for everybody on the host: what it leaves below /run.

A command that is run by hand does not have the service's environment, and may not be allowed to
read its config. systemd gives the service `$RUNTIME_DIRECTORY` and removes it when it stops.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from checkpointd.core.permissions import user_name

RUNTIME_DIRECTORY = Path("/run/checkpointd")
"""The `RuntimeDirectory=` of the systemd unit; that of the instance for a user adds `-USER`."""

_NAME = "service.json"
_MODE = 0o644
_MAX_BYTES = 64 << 10


@dataclass(frozen=True)
class ServicePlace:
    """The config and the state directory of a service that runs, or has not been cleaned up."""

    config_path: Path
    state_dir: Path


def publish_place(place: ServicePlace) -> None:
    """Leave the place in `$RUNTIME_DIRECTORY`, readable for everybody; without effect without it.

    Raises:
        OSError: it cannot be written.
    """
    runtime_dir = os.environ.get("RUNTIME_DIRECTORY", "").split(":")[0]
    if not runtime_dir:
        return
    path = Path(runtime_dir, _NAME)
    text = json.dumps({"config": str(place.config_path), "state_dir": str(place.state_dir)})
    new = path.with_name(f".{_NAME}.new")
    new.write_text(text + "\n", encoding="utf-8")
    new.chmod(_MODE)
    new.replace(path)


def running_service() -> ServicePlace | None:
    """Return what the system's service, or else one of the user's own, has left."""
    own = os.environ.get("XDG_RUNTIME_DIR")
    instance = Path(f"{RUNTIME_DIRECTORY}-{user_name(os.geteuid())}")
    directories = [RUNTIME_DIRECTORY, instance, *([Path(own, "checkpointd")] if own else [])]
    return next((place for d in directories if (place := _read(d / _NAME)) is not None), None)


def _read(path: Path) -> ServicePlace | None:
    try:
        with path.open("rb") as file:
            data = json.loads(file.read(_MAX_BYTES))
        config, state = data["config"], data["state_dir"]
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return None
    if not all(isinstance(text, str) and text.startswith("/") for text in (config, state)):
        return None
    return ServicePlace(Path(config), Path(state))
