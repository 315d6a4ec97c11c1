"""The table of checks, in the order in which they run; a check is a row here and a function."""

from __future__ import annotations

from checkpointd.cli.doctor import (
    fleet_checks,
    kernel_checks,
    program_checks,
    service_checks,
    storage_checks,
)
from checkpointd.cli.doctor.finding import HostCheck

CHECKS = (
    HostCheck(
        "config",
        "the config can be read, is valid and is the one in use; what it names exists",
        service_checks.config,
    ),
    HostCheck(
        "service",
        "systemd runs the service, starts it with the host, and did not have to restart it",
        service_checks.service,
    ),
    HostCheck(
        "daemon",
        "the control socket answers, with this version; what the daemon itself reports",
        service_checks.daemon,
    ),
    HostCheck("web", "the address of `/metrics` and the status page answers", service_checks.web),
    HostCheck("prometheus", "somebody has read `/metrics` lately", service_checks.prometheus),
    HostCheck(
        "state",
        "the state directory belongs to the service, and is on a disk that fits a ledger",
        storage_checks.state,
    ),
    HostCheck("ledger", "the ledger can be read by this version", storage_checks.ledger),
    HostCheck(
        "roots",
        "each root is there; the service may read all of it, and write where it prunes",
        storage_checks.roots,
    ),
    HostCheck(
        "trash",
        "what is pruned can be moved into the trash: same file system, and writable",
        storage_checks.trash,
    ),
    HostCheck("disk", "free bytes and files for the state and each root", storage_checks.disk),
    HostCheck(
        "watch-limits",
        "`fs.inotify.max_user_watches` against the directories in the roots",
        kernel_checks.watch_limits,
    ),
    HostCheck("sandbox", "which layers of the sandbox this kernel has", kernel_checks.sandbox),
    HostCheck("clock", "the clock is synchronised and agrees with the files", kernel_checks.clock),
    HostCheck(
        "interpreters",
        "each interpreter that loads checkpoints imports TensorFlow as the service's user",
        program_checks.interpreters,
    ),
    HostCheck(
        "fleet",
        "Dask, certificates, scheduler and workers, where other hosts verify",
        fleet_checks.fleet,
    ),
    HostCheck("hooks", "the service may run the command of each hook", program_checks.hooks),
)
