"""The files that ship: in the wheel beside this module, in a checkout at its top level."""

from __future__ import annotations

from pathlib import Path

_HERE = Path(__file__).parent
_PLACES = (_HERE / "files", _HERE.parents[1] / "systemd")

PROGRAM = "/opt/checkpointd/bin/checkpointd"
"""The program that the shipped units name."""

STATE_DIR = "/var/lib/checkpointd"
"""The state directory that they name."""

LISTEN = "127.0.0.1:9746"
"""The address of the status page that they name."""


def shipped(name: str) -> str:
    """Return the text of a file that ships, such as `checkpointd.service`.

    Raises:
        FileNotFoundError: the installation is damaged.
    """
    for place in _PLACES:
        path = place / name
        if path.is_file():
            return path.read_text(encoding="utf-8")
    raise FileNotFoundError(f"{name} is missing from {_PLACES[0]}: install checkpointd again.")
