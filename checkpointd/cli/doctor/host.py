"""What the checks of a host look at: config, status of the daemon, account of the service."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from checkpointd.cli.service_account import Account, account_of

if TYPE_CHECKING:
    from pathlib import Path

    from checkpointd.cli.workspace import Workspace
    from checkpointd.config import Config
    from checkpointd.observe.status import DaemonStatus

SYSTEMD = "/run/systemd/system"
"""Where there is this directory, systemd has booted the host."""


@dataclass(frozen=True)
class Host:
    """A host with the service on it, or without.

    Attributes:
        config_path: where the config is, or would be.
        config: None where there is none, or it cannot be used.
        config_error: why not, and its cure; empty where there simply is none.
        state_dir: of the daemon.
        status: None if the daemon did not answer.
        status_error: why not, and its cure.
        account: whom the daemon runs as, or would.
        unit: the name of the systemd service.
    """

    config_path: Path
    config: Config | None
    config_error: tuple[str, str]
    state_dir: Path
    status: DaemonStatus | None
    status_error: tuple[str, str]
    account: Account
    unit: str = "checkpointd"

    @property
    def has_systemd(self) -> bool:
        """Whether systemd runs the services of this host."""
        return os.path.isdir(SYSTEMD)

    @property
    def needs_sudo(self) -> str:
        """The cure where only root can find out what the service may do."""
        return f"Run it with sudo: what {self.account.name} may do cannot be tested otherwise."


def inspect_host(workspace: Workspace) -> Host:
    """Collect what the checks look at; every error becomes a part of the result."""
    from checkpointd.cli.client import Client
    from checkpointd.cli.errors import CliError
    from checkpointd.config import ConfigError
    from checkpointd.observe.status import DaemonStatus

    config, config_error = None, ("", "")
    path = workspace.config_path.absolute()
    try:
        if workspace.has_config or not _is_missing(path):
            config = workspace.config()
    except (CliError, ConfigError, OSError) as error:
        config_error = _explained(error)
    status, status_error = None, ("", "")
    state_dir = path.parent
    try:
        state_dir = workspace.state_dir()
        status = DaemonStatus.from_public(Client(state_dir).get("/api/v1/status"))
    except (CliError, ConfigError) as error:
        status_error = _explained(error)
    pid = status.pid if status is not None else 0
    account = account_of(state_dir, pid)
    return Host(path, config, config_error, state_dir, status, status_error, account, _unit(pid))


def _is_missing(path: Path) -> bool:
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False


def _explained(error: Exception) -> tuple[str, str]:
    """The message and the cure of an error that a command would end with."""
    first = str(error).splitlines()[0]
    return getattr(error, "message", first), getattr(error, "cure", "")


def _unit(pid: int) -> str:
    """The name of the systemd service that a process belongs to, else the usual one."""
    try:
        with open(f"/proc/{pid}/cgroup", encoding="utf-8") as file:
            names = [part for line in file for part in line.strip().split("/")]
    except OSError:
        names = []
    units = (name.removesuffix(".service") for name in names if name.endswith(".service"))
    return next((name for name in units if name.startswith("checkpointd")), "checkpointd")
