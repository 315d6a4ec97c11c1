"""Which modules a command line needs, decided before it is parsed: importing all is slow.

Whatever is not clear at a glance is left to the parser, which knows them all.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

MODULES = (
    "daemon_commands",
    "verify_commands",
    "diff_commands",
    "attest_commands",
    "list_commands",
    "latest_commands",
    "wait_commands",
    "retention_commands",
    "trash_commands",
    "pin_commands",
    "tag_commands",
    "hook_commands",
    "config_commands",
    "doctor_commands",
    "systemd_commands",
    "monitoring_commands",
    "kubernetes_commands",
    "docs_commands",
    "version_commands",
)
"""The modules of the commands, in the order of `--help`."""

_QUICK = {
    "latest": "latest_commands",
    "run": "daemon_commands",
    "verify": "verify_commands",
    "wait": "wait_commands",
}
"""What scripts call, and the daemon: they need not wait until all others are imported."""


def modules_for(arguments: Sequence[str]) -> Sequence[str]:
    """Return the modules that a command line needs: one, if it is clear that this is enough."""
    _, words = _split(arguments)
    module = _QUICK.get(words[0]) if words else None
    return MODULES if module is None else (module,)


def is_run(arguments: Sequence[str]) -> bool:
    """Whether the command line certainly starts the daemon: `run`, with at most `--config`."""
    return _split(arguments)[1] == ["run"]


def config_of(arguments: Sequence[str]) -> Path | None:
    """Return the config that stands before the command, if one does."""
    config = _split(arguments)[0]
    return None if config is None else Path(config)


def _split(arguments: Sequence[str]) -> tuple[str | None, list[str]]:
    """Return the config that is named first, and the words after it."""
    words = list(arguments)
    if len(words) > 1 and words[0] in ("--config", "-c"):
        return words[1], words[2:]
    if words and words[0].startswith("--config="):
        return words[0].partition("=")[2], words[1:]
    return None, words
