"""Checks of the fleet: Dask, the certificates, the scheduler, and the workers."""

from __future__ import annotations

import importlib.util
import os
import stat
from typing import TYPE_CHECKING

from checkpointd.cli.doctor.finding import NO_CONFIG, ok, problem, unknown, warning
from checkpointd.cli.service_account import denials
from checkpointd.dispatch.fleet.handshake import CertificateError, shake_hands

if TYPE_CHECKING:
    from collections.abc import Iterator

    from checkpointd.cli.doctor.finding import Finding
    from checkpointd.cli.doctor.host import Host
    from checkpointd.config import DispatchSettings

_DASK = "distributed"


def fleet(host: Host) -> Iterator[Finding]:
    """Whether this host can join the cluster, and whether the cluster verifies."""
    if host.config is None:
        yield unknown(*NO_CONFIG)
        return
    dispatch = host.config.dispatch
    if dispatch.engine == "local":
        yield ok("this host verifies by itself")
        return
    if importlib.util.find_spec(_DASK) is None:
        yield problem("Dask is not installed here.", "`pip install 'checkpointd[dask]'`.")
        return
    findings = list(_files(host, dispatch))
    yield from findings
    if not findings:
        yield _connection(dispatch)
    yield from _workers(host)


def _files(host: Host, dispatch: DispatchSettings) -> Iterator[Finding]:
    """What is wrong with the files of [dispatch.tls]."""
    if dispatch.tls is None:
        return
    paths = {key: str(path) for key, path in dispatch.tls}
    for key, path in paths.items():
        if not os.path.exists(path):
            yield problem(f"{path} does not exist.", f"Correct {key} in [dispatch.tls].")
    if host.account.can_be_tried:
        for cure in denials(host.account, [(path, os.R_OK) for path in paths.values()]):
            if cure:
                yield problem("The service may not read a file of [dispatch.tls].", cure)
    key_file = paths["key_file"]
    if os.path.exists(key_file) and stat.S_IMODE(os.stat(key_file).st_mode) & stat.S_IRWXO:
        yield warning(f"Everybody may read {key_file}.", f"`sudo chmod o= {key_file}`.")


def _connection(dispatch: DispatchSettings) -> Finding:
    """Connect as the daemon does, up to the point where the scheduler has seen our certificate."""
    tls = dispatch.tls
    files = None if tls is None else {key: str(path) for key, path in tls}
    try:
        shake_hands(dispatch.address, files)
    except CertificateError as error:
        return problem(
            f"{dispatch.scheduler} and this host do not accept each other's certificate: {error}.",
            "Both have to be of the CA in ca_file, and not expired: `openssl x509 -noout -issuer "
            "-enddate -in CERT` shows it.",
        )
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        return problem(
            f"{dispatch.scheduler} does not answer: {why}.",
            "Start the scheduler, and let this host through its firewall.",
        )
    return ok(f"{dispatch.scheduler} answers")


def _workers(host: Host) -> Iterator[Finding]:
    """What the daemon reports about the workers; nothing where no daemon runs."""
    if host.status is None or host.status.engine.name == "local":
        return
    engine = host.status.engine
    if not engine.reachable:
        yield problem(
            f"The daemon cannot reach the scheduler: {engine.message}", "See its log for more."
        )
    elif not engine.workers:
        yield problem(
            "No worker is connected, nothing is verified.",
            "`sudo systemctl start checkpointd-worker` on each host.",
        )
    else:
        count = f"{engine.workers} worker{'' if engine.workers == 1 else 's'}"
        yield ok(f"{count} on {', '.join(engine.hosts)}, {engine.slots} checkpoints at a time")
