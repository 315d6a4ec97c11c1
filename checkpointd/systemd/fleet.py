"""Installs and removes the service of a worker of the fleet, `checkpointd-worker.service`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from checkpointd.systemd import plan, render, service
from checkpointd.systemd.installer import PACKAGED, Outcome, make_accounts
from checkpointd.systemd.permissions import identity
from checkpointd.systemd.service import InstallError
from checkpointd.systemd.shipped import LISTEN, PROGRAM, shipped

if TYPE_CHECKING:
    from checkpointd.systemd.disk import Disk
    from checkpointd.systemd.layout import Layout

UNIT = "checkpointd-worker"

_CONFIG = """\
# A worker of a fleet reads [dispatch] and [worker]: `checkpointd docs fleet` explains both.
# [dispatch]
# engine = "dask"
# scheduler = "tls://scheduler.example.org:8786"
#
# [dispatch.tls]
# ca_file = "fleet-ca.crt"
# cert_file = "fleet.crt"
# key_file = "fleet.key"
"""


def install_worker(disk: Disk, place: Layout) -> Outcome:
    """Write what is missing or out of date.

    Args:
        disk: the system to write to.
        place: of the daemon's service on this host, or where it would be.

    Raises:
        InstallError: the service could not start this program.
    """
    _refuse_instance(place)
    done = Outcome()
    program = service.find_program()
    service.check_program(program, place, identity(place.user))
    packaged = program == PROGRAM and disk.exists(f"{PACKAGED}/{UNIT}.service")
    accounts = plan.accounts(place, service.first_group(place.user), packaged=packaged)
    disk.put(accounts)
    make_accounts(disk, done, accounts, "sysusers")
    first = _first_config(place)
    is_configured = disk.exists(first.path)
    disk.put([first])
    make_accounts(disk, done, accounts, "tmpfiles")
    files = [] if packaged else _units(place, program)
    is_new = packaged or not disk.exists(files[0].path)
    before = len(disk.steps)
    disk.put(files)
    changed = {step for step, _ in disk.steps[before:]} & {plan.Step.WRITE, plan.Step.UPDATE}
    if not place.is_own and disk.link(program.partition(" ")[0]):
        done.notes.append(f"{plan.LINK} leads to {program}.")
    if not is_configured:
        done.next_steps.append(f"name the scheduler and the certificates in {place.config}")
    if changed:
        done.next_steps.append(f"systemctl {place.manager}daemon-reload")
    verb = "enable --now" if is_new else "restart"
    done.next_steps.append(f"systemctl {place.manager}{verb} {UNIT}")
    return done


def uninstall_worker(disk: Disk, place: Layout) -> Outcome:
    """Remove the unit if it is as it was written; what the daemon's service may need stays.

    Raises:
        InstallError: the service still starts with the system.
    """
    _refuse_instance(place)
    done = Outcome()
    for wants in ("multi-user.target.wants", "default.target.wants"):
        if disk.exists(f"{place.unit_dir}/{wants}/{UNIT}.service"):
            command = f"systemctl {place.manager}disable --now {UNIT}"
            raise InstallError(f"{UNIT} is enabled: run `{command}` first.")
    unit = _units(place, service.find_program())[0]
    done.removed, kept = disk.remove([unit.path])
    done.notes += [f"{path} was changed by hand and stays." for path in kept]
    done.notes.append("User, config and state stay: `checkpointd systemd uninstall` removes more.")
    if done.removed:
        done.next_steps.append(f"systemctl {place.manager}daemon-reload")
    return done


def _refuse_instance(place: Layout) -> None:
    if place.unit != place.template:
        raise InstallError(
            "A worker runs as the user checkpointd: to give it another one, install it without "
            f"--user, then `sudo systemctl edit {UNIT}` with [Service] and User={place.user}."
        )


def _units(place: Layout, program: str) -> list[plan.File]:
    names = [f"{UNIT}.service"] if place.is_own else [f"{UNIT}.service", "checkpointd.slice"]
    worker = replace(place, unit=UNIT, template=UNIT)
    return [
        plan.File(
            f"{place.unit_dir}/{name}",
            render.unit(shipped(name), worker, program, place.state_dir, LISTEN),
        )
        for name in names
    ]


def _first_config(place: Layout) -> plan.File:
    text = f'[daemon]\nstate_dir = "{place.state_dir}"\n\n' if place.is_own else ""
    mode = 0o600 if place.is_own else 0o640
    return plan.File(place.config, f"{text}{_CONFIG}", mode=mode, is_config=True)
