"""Which program a service runs, what its config names, and what stands in the way."""

from __future__ import annotations

import contextlib
import glob
import grp
import os
import pwd
import socket
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING

from checkpointd.config import ConfigError, load
from checkpointd.config.locate import read
from checkpointd.config.settings import HOOK_EVENTS
from checkpointd.systemd import layout, permissions, render
from checkpointd.systemd.plan import Named
from checkpointd.systemd.shipped import LISTEN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from checkpointd.config import Config, WatchSettings
    from checkpointd.systemd.layout import Layout

_HIDDEN = ("/tmp/", "/var/tmp/", "/dev/shm/")  # noqa: S108 - what PrivateTmp= hides
_PORTS = 200


class InstallError(Exception):
    """The service cannot be installed so; the sentence says what to do."""


def find_program() -> str:
    """Return what starts the installation that runs now."""
    script = os.path.join(sysconfig.get_path("scripts"), "checkpointd")
    return script if os.access(script, os.X_OK) else f"{sys.executable} -m checkpointd"


def check_program(program: str, place: Layout, user: permissions.Identity) -> None:
    """Refuse a program that the service could not start.

    Raises:
        InstallError: its path, or that of its interpreter, is in the way.
    """
    if render.PLAIN.fullmatch(program) is None:
        raise InstallError(
            f"{program} has characters that a unit cannot hold: install checkpointd in a path "
            "without them, such as /opt/checkpointd."
        )
    if place.is_own:
        return
    script = program.partition(" ")[0]
    for path in dict.fromkeys(
        [script, sys.executable, sys.base_prefix, sysconfig.get_path("stdlib")]
    ):
        why = permissions.obstacle(path, user)
        if any(os.path.realpath(path).startswith(hidden) for hidden in _HIDDEN):
            why = f"has a /tmp of its own, and would not find {path}"
        if why:
            raise InstallError(
                f"The service, as {user.name}, {why}: install checkpointd where it can, with "
                "`/usr/bin/python3 -m venv /opt/checkpointd` and "
                "`/opt/checkpointd/bin/pip install checkpointd`."
            )


def name_all(
    place: Layout, config_path: Path, user: permissions.Identity
) -> tuple[Named, list[str]]:
    """Return what an existing config names, and sentences about what the service cannot reach.

    Raises:
        ConfigError: the config is wrong.
        InstallError: [web] listen names a host that systemd cannot listen on.
    """
    config = load(config_path)
    daemon = read(config_path)[0].get("daemon", {})
    state_dir = str(config.state_dir) if daemon.get("state_dir") else place.state_dir
    roots = [str(watch.path) for watch in config.watch if not watch.bucket]
    writable = list(_writable(config))
    if state_dir != place.state_dir:
        writable.append(state_dir)
    watches = [watch for watch in config.watch if not watch.bucket]
    groups = [name for watch in watches if (name := _group(watch, user))]
    groups = list(dict.fromkeys(groups))
    member = user.joined(groups)
    problems = []
    for watch in () if place.is_own else watches:
        why = permissions.obstacle(str(watch.path), member, _wanted(watch))
        if why:
            problems.append(f"{watch.name}: {user.name} {why}.")
    has_hooks = any(getattr(w.hooks, event) for w in config.watch for event in HOOK_EVENTS)
    scheduler = config.dispatch.address[0] if config.dispatch.engine == "dask" else ""
    named = Named(
        state_dir,
        _listen(config),
        tuple(roots),
        tuple(writable),
        tuple(groups),
        has_hooks,
        scheduler,
        any(watch.bucket or watch.replicate.to for watch in config.watch),
    )
    return named, problems


def free_listen(config_dir: str) -> str:
    """Return the first address for a status page that nothing on this host has.

    Args:
        config_dir: of the service itself, whose own address does not count.
    """
    taken = set()
    for path in glob.glob("/etc/checkpointd*"):
        if path != config_dir:
            try:
                web = read(Path(path, "config.toml"))[0].get("web", {})
            except ConfigError:  # it may not be read, and then has the default most likely
                web = {}
            taken.add(web.get("listen", LISTEN) if isinstance(web, dict) else LISTEN)
    host, _, port = LISTEN.rpartition(":")
    for number in range(int(port), int(port) + _PORTS):
        if f"{host}:{number}" not in taken:
            with contextlib.suppress(OSError), socket.create_server((host, number)):
                return f"{host}:{number}"
    raise InstallError(f"No port from {port} on is free: write a config with [web] listen first.")


def place_for(user: str | None, *, is_root: bool) -> Layout:
    """Return the places of the service that was asked for.

    Args:
        user: whom it runs as; None for the service's own user, or the caller's if that is not root.
        is_root: whether root asks.

    Raises:
        InstallError: there is no such user, or only root may.
    """
    if user is None:
        if is_root:
            return layout.HOST
        home = os.path.expanduser("~")
        return layout.own(
            os.environ.get("XDG_CONFIG_HOME") or f"{home}/.config",
            os.environ.get("XDG_STATE_HOME") or f"{home}/.local/state",
        )
    if not is_root:
        raise InstallError(
            "Only root may install a service that runs as a user: use sudo. Without --user and "
            "without root, it is installed for your own systemd."
        )
    if user == layout.HOST.user:
        return layout.HOST
    try:
        account = pwd.getpwnam(user)
    except KeyError:
        raise InstallError(f"There is no user {user}.") from None
    if account.pw_uid == 0:
        raise InstallError("The service does not run as root: name the user of the training job.")
    return layout.for_user(user)


def first_group(user: str) -> str:
    """Return the name of a user's first group."""
    try:
        return grp.getgrgid(pwd.getpwnam(user).pw_gid).gr_name
    except KeyError:
        return user


def _writable(config: Config) -> Sequence[str]:
    """Return the directories that the service changes: where it prunes, and where it publishes."""
    paths: list[Path | None] = []
    for watch in config.watch:
        if _prunes(watch):
            paths += _renamed_within(watch)
        paths += [watch.verdict_directory, watch.link_directory]
    state = config.state_dir
    kept = [path for path in paths if path is not None and not path.is_relative_to(state)]
    return list(dict.fromkeys(str(path) for path in kept))


def _renamed_within(watch: WatchSettings) -> list[Path | None]:
    """The directories between which a watch renames: each one is a mount of its own for a service.

    So what contains both the root and its `trash_dir` is made writable; nothing can be renamed from
    one mount to another, even if they are of one file system.
    """
    trash = watch.retention.trash_dir
    if trash is None:
        return [Path(watch.path)]
    both = Path(os.path.commonpath([watch.path, trash]))
    return [Path(watch.path), trash] if both == Path("/") else [both]


def _prunes(watch: WatchSettings) -> bool:
    return watch.retention.mode == "enforce"


def _wanted(watch: WatchSettings) -> int:
    return permissions.CHANGE if _prunes(watch) else permissions.READ


def _group(watch: WatchSettings, user: permissions.Identity) -> str:
    return permissions.group_needed(str(watch.path), user, _wanted(watch))


def _listen(config: Config) -> str:
    host, port = config.web.address
    if host == "localhost":
        host = "127.0.0.1"
    if not host.replace(".", "").isdecimal() and ":" not in host:
        raise InstallError(
            f"systemd listens on addresses alone, and [web] listen names the host {host}: write "
            "its address."
        )
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
