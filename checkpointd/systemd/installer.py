"""Installs a service, and removes it: the order of the steps, and what a person does next."""

from __future__ import annotations

import glob
import os
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from checkpointd.config import parse
from checkpointd.systemd import layout, plan, service
from checkpointd.systemd.permissions import identity
from checkpointd.systemd.service import InstallError
from checkpointd.systemd.shipped import LISTEN, PROGRAM

if TYPE_CHECKING:
    from collections.abc import Sequence

    from checkpointd.systemd.disk import Disk
    from checkpointd.systemd.layout import Layout
    from checkpointd.systemd.plan import Named

PACKAGED = "/lib/systemd/system"
"""Where a distribution's package has the units."""


@dataclass
class Outcome:
    """What there is to print in addition to the files: sentences, and commands for later."""

    notes: list[str] = field(default_factory=list)
    next_steps: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)


def install(disk: Disk, place: Layout, watches: Sequence[str], root: str = "") -> Outcome:
    """Write what is missing or out of date.

    Args:
        disk: the system to write to.
        place: of the service.
        watches: the directories for the first config.
        root: where that system is; empty for this one.

    Raises:
        ConfigError: the config is wrong, or the directories cannot be watched.
        InstallError: the service could not start this program.
    """
    done = Outcome()
    program = service.find_program()
    service.check_program(program, place, identity(place.user))
    packaged = program == PROGRAM and disk.exists(f"{PACKAGED}/{place.template}.service")
    listen = LISTEN if place == layout.HOST else service.free_listen(place.config_dir)
    first = plan.first_config(place, watches, listen)
    if not disk.exists(first.path):
        parse(tomllib.loads(first.text), Path(first.path))
    elif watches:
        done.notes.append(f"{first.path} is yours: add each directory to it as a [[watch]].")
    accounts = plan.accounts(place, service.first_group(place.user), packaged=packaged)
    disk.put(accounts)
    make_accounts(disk, done, accounts, "sysusers")
    disk.put([first])
    make_accounts(disk, done, accounts, "tmpfiles")
    named = _named(disk, place, watches, listen, root, done)
    files = plan.drop_ins(place, named, packaged=packaged)
    if not packaged:
        files = [*plan.units(place, program, named), *files]
    is_new = not disk.exists(files[0].path)
    before = len(disk.steps)
    disk.put(files)
    changed = {step for step, _ in disk.steps[before:]} & {plan.Step.WRITE, plan.Step.UPDATE}
    if not place.is_own and disk.link(program.partition(" ")[0]):
        done.notes.append(f"{plan.LINK} leads to {program}.")
    _next(done, place, named, is_new=is_new, changed=bool(changed))
    return done


def _named(
    disk: Disk, place: Layout, watches: Sequence[str], listen: str, root: str, done: Outcome
) -> Named:
    """Return what the config names; before it is written, what it will name."""
    path = Path(root + place.config)
    if not disk.exists(place.config):
        return plan.Named(place.state_dir, listen, tuple(os.path.abspath(w) for w in watches))
    named, problems = service.name_all(place, path, identity(place.user))
    done.notes += problems
    if problems and place is layout.HOST:
        done.notes.append(
            "What the service cannot read stays unverified: run it as the training job's user with "
            "`checkpointd systemd install --user NAME`, or grant it access with setfacl."
        )
    return named


def make_accounts(disk: Disk, done: Outcome, accounts: Sequence[plan.File], kind: str) -> None:
    """Let systemd make the user (`sysusers`) or the directories (`tmpfiles`) of a service."""
    options = ["--create"] if kind == "tmpfiles" else []
    for file in accounts:
        if f"/{kind}.d/" in file.path:
            name = os.path.basename(file.path)
            problem = disk.run(f"systemd-{kind}", *options, name)
            if problem:
                done.notes.append(f"Not done yet: {file.path}: {problem}")


def _next(done: Outcome, place: Layout, named: Named, *, is_new: bool, changed: bool) -> None:
    steps, unit = done.next_steps, place.unit
    if not named.roots:
        steps.append(f"name your directories in {place.config}, then run this command again")
    if changed:
        steps.append(f"systemctl {place.manager}daemon-reload")
    if is_new or not changed:
        steps.append(f"systemctl {place.manager}enable --now {unit}")
    else:
        steps.append(f"systemctl {place.manager}restart {unit}.socket {unit}.service")
    if place.is_own and is_new:
        steps.append("loginctl enable-linger    # so that it also runs while you are logged out")


def uninstall(disk: Disk, place: Layout) -> Outcome:
    """Remove what was written and is as it was written.

    Raises:
        InstallError: the service still starts with the system.
    """
    done = Outcome()
    for wants in ("multi-user.target.wants", "default.target.wants"):
        if disk.exists(f"{place.unit_dir}/{wants}/{place.unit}.service"):
            raise InstallError(
                f"{place.unit} is enabled: run `systemctl {place.manager}disable --now {place.unit}"
                f".service {place.unit}.socket` first."
            )
    program = service.find_program()
    named = plan.Named(place.state_dir, LISTEN)
    files = [
        *plan.drop_ins(place, named),
        *plan.units(place, program, named),
        *plan.accounts(place, place.user),
    ]
    paths = [file.path for file in files if not _is_shared(disk, place, file.path)]
    done.removed, kept = disk.remove(paths)
    done.notes += [f"{path} was changed by hand and stays." for path in kept]
    if (
        not place.is_own
        and not any(_others(disk, place))
        and disk.unlink(program.partition(" ")[0])
    ):
        done.removed.append(plan.LINK)
    done.notes.append(f"Config and state stay: {place.config_dir}, {place.state_dir}.")
    if done.removed:
        done.next_steps.append(f"systemctl {place.manager}daemon-reload")
    return done


def _is_shared(disk: Disk, place: Layout, path: str) -> bool:
    """Whether another service needs a file as well: the slice, and the template of instances."""
    instances, host = _others(disk, place)
    name = os.path.basename(path)
    if name.startswith("checkpointd@."):
        return instances
    worker = disk.exists(f"{layout.HOST.unit_dir}/checkpointd-worker.service")
    return name == "checkpointd.slice" and (instances or host or worker)


def _others(disk: Disk, place: Layout) -> tuple[bool, bool]:
    """Whether other instances are installed, and whether the host's own service is."""
    paths = glob.glob(f"{disk.root}/etc/tmpfiles.d/checkpointd-*.conf")
    instances = any(os.path.basename(path) != f"checkpointd-{place.user}.conf" for path in paths)
    host = disk.exists(f"{layout.HOST.unit_dir}/checkpointd.service")
    return instances, host and place != layout.HOST
