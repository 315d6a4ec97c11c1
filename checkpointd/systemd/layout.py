"""Where the files of a service are: of the host's, of one for a user, of a user's own systemd."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Layout:
    """The places of one service.

    Attributes:
        unit: its name, without `.service`.
        template: the unit files' name, which for an instance is that of the template.
        user: whom it runs as; empty: whose systemd this is.
        config_dir: holds `config.toml`.
        state_dir: ledger and control socket, if the config names no other.
        unit_dir: where systemd reads units.
        manager: the options of `systemctl` for it.
    """

    unit: str
    template: str
    user: str
    config_dir: str
    state_dir: str
    unit_dir: str
    manager: str = ""

    @property
    def config(self) -> str:
        """The config's path."""
        return f"{self.config_dir}/config.toml"

    @property
    def is_own(self) -> bool:
        """Whether it belongs to a user's own systemd."""
        return bool(self.manager)


HOST = Layout(
    unit="checkpointd",
    template="checkpointd",
    user="checkpointd",
    config_dir="/etc/checkpointd",
    state_dir="/var/lib/checkpointd",
    unit_dir="/etc/systemd/system",
)
"""The service of the whole host, which has a user of its own."""


def for_user(name: str) -> Layout:
    """The instance that runs as a user: `checkpointd@NAME`."""
    return Layout(
        unit=f"checkpointd@{name}",
        template="checkpointd@",
        user=name,
        config_dir=f"/etc/checkpointd-{name}",
        state_dir=f"/var/lib/checkpointd-{name}",
        unit_dir=HOST.unit_dir,
    )


def own(config_home: str, state_home: str) -> Layout:
    """The service of a user's own systemd, which needs no root.

    Args:
        config_home: `~/.config`, or what takes its place.
        state_home: `~/.local/state`, or what takes its place.
    """
    return Layout(
        unit="checkpointd",
        template="checkpointd",
        user="",
        config_dir=f"{config_home}/checkpointd",
        state_dir=f"{state_home}/checkpointd",
        unit_dir=f"{config_home}/systemd/user",
        manager="--user ",
    )
