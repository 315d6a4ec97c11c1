"""Checks of the config, the service, its answers, and who reads its metrics."""

from __future__ import annotations

import http.client
import shutil
import socket
import subprocess
import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from checkpointd import __version__
from checkpointd.cli.doctor.finding import NO_CONFIG, ok, problem, unknown, warning
from checkpointd.core.text import ago

if TYPE_CHECKING:
    from collections.abc import Iterator

    from checkpointd.cli.doctor.finding import Finding
    from checkpointd.cli.doctor.host import Host
    from checkpointd.config import Config

_SECONDS = 5.0
_SCRAPED_LATELY = 900.0
_STARTED = 300.0
_CHECK = "`checkpointd config check` lists everything with its line."
_ELSEWHERE = (".path", ".python")
"""Keys that checks of their own look at, as they do at hooks: `roots` and `interpreters`."""

_NONE_YET = "Nothing can be said yet: the daemon has just started."
_PROPERTIES = "LoadState,ActiveState,UnitFileState,Result,ExecMainStatus,NRestarts"


def config(host: Host) -> Iterator[Finding]:
    """Whether there is a config that can be used, and is the one that runs."""
    if host.config is None:
        yield _no_config(host)
        return
    yield from _named_files(host, host.config)
    status = host.status
    if status is None:
        return
    if status.config_error:
        message = f"The last reload failed, the old config is still in use: {status.config_error}"
        yield problem(message, "Correct the config, then run `checkpointd reload`.")
    if status.config_path != str(host.config_path):
        message = f"The daemon runs with {status.config_path}, not with {host.config_path}."
        yield warning(message, "Name the config that is meant with --config.")


def _no_config(host: Host) -> Finding:
    message, cure = host.config_error
    if message:
        return problem(f"{message.rstrip('.')}.", cure or _CHECK)
    if host.status is not None:
        path = host.status.config_path
        return ok(f"{path}, as the daemon runs with it; name it with --config to check it")
    example = f"`checkpointd config example | sudo tee {host.config_path}`, then edit it."
    return problem(f"There is no config at {host.config_path}.", example)


def _named_files(host: Host, config: Config) -> Iterator[Finding]:
    from checkpointd.cli.named_files import check_named_files
    from checkpointd.config import ConfigError

    try:
        warnings = check_named_files(host.config_path, config, host.account)
    except ConfigError as error:
        for one in error.problems:
            yield problem(f"{host.config_path}: {one}.", _CHECK)
        return
    count = len(config.watch)
    if not count:
        yield warning(f"{host.config_path} watches nothing.", "Add a [[watch]] with name and path.")
    else:
        yield ok(f"{host.config_path}, {count} watch{'' if count == 1 else 'es'}")
    for one in warnings:
        if not one.key.endswith(_ELSEWHERE) and ".hooks." not in one.key:
            message = f"{host.config_path}: {one}."
            yield warning(message, "Correct it, then run `checkpointd reload`.")


def service(host: Host) -> Iterator[Finding]:
    """Whether systemd runs the service, and will after a reboot."""
    if not host.has_systemd:
        if host.status is not None:
            yield ok(f"runs without systemd, process {host.status.pid}")
        else:
            yield unknown("This host was not booted by systemd.", "Start it: `checkpointd run`.")
        return
    facts = _unit_facts(host.unit)
    if facts.get("LoadState") != "loaded":
        if host.status is not None:
            message = f"The daemon runs as process {host.status.pid}, not as a service."
            yield warning(message, "`sudo checkpointd systemd install` makes it one.")
        else:
            message = f"There is no service {host.unit} on this host."
            yield problem(message, "`sudo checkpointd systemd install` writes it.")
        return
    state = facts.get("ActiveState", "")
    if state == "active":
        yield ok(f"{host.unit} is active")
    elif state == "failed":
        yield problem(
            f"{host.unit} has failed: {facts.get('Result')}, exit status "
            f"{facts.get('ExecMainStatus')}.",
            f"`journalctl -n 50 -u {host.unit}` says why; then `sudo systemctl reset-failed "
            f"{host.unit}` and `sudo systemctl start {host.unit}`.",
        )
    else:
        yield problem(f"{host.unit} is {state}.", f"`sudo systemctl start {host.unit}`.")
    if facts.get("UnitFileState") not in ("enabled", "enabled-runtime", "static", "indirect"):
        message = f"{host.unit} does not start when the host boots."
        yield warning(message, f"`sudo systemctl enable {host.unit}`.")
    restarts = facts.get("NRestarts", "0")
    if restarts not in ("", "0"):
        message = f"systemd had to restart {host.unit} {restarts} times since it was started."
        yield warning(message, f"`journalctl -u {host.unit} -p warning` says why.")


def _unit_facts(unit: str) -> dict[str, str]:
    systemctl = shutil.which("systemctl")
    if systemctl is None:
        return {}
    try:
        done = subprocess.run(
            [systemctl, "show", f"--property={_PROPERTIES}", f"{unit}.service"],
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return {}
    return dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)


def daemon(host: Host) -> Iterator[Finding]:
    """Whether the control socket answers, and what the daemon has to report."""
    status = host.status
    if status is None:
        message, cure = host.status_error
        yield problem(message, cure or f"`sudo systemctl start {host.unit}`.")
        return
    if status.healthy:
        yield ok(
            f"answers, version {status.version}, started {ago(status.started_at, time.time())}"
        )
    else:
        yield problem("The daemon is not healthy.", "See the problems below, then its log.")
    if status.version != __version__:
        yield warning(
            f"The daemon runs version {status.version}, this command is version {__version__}.",
            f"`sudo systemctl restart {host.unit}`.",
        )
    for one in status.problems:
        yield warning(one, "`checkpointd status` shows more.")


def web(host: Host) -> Iterator[Finding]:
    """Whether the address of the status page and the metrics answers."""
    if host.config is None:
        yield unknown(*NO_CONFIG)
        return
    settings, listen = host.config.web, host.config.web.listen
    address = ("127.0.0.1", settings.address[1])
    if not address[1]:
        port = urlsplit(host.status.web).port if host.status is not None else None
        if not port:
            message = f"{listen}: the system chooses the port, and only the daemon knows it."
            yield unknown(message, "See `daemon` above.")
            return
        address, listen = (address[0], port), f"{listen.removesuffix('0')}{port}"
    if not settings.on_loopback and settings.address[0] not in ("0.0.0.0", "::"):  # noqa: S104 - compared
        address = (settings.address[0], address[1])
    try:
        with socket.create_connection(address, timeout=_SECONDS) as connection:
            if settings.tls is None:
                status = _health(connection, address[0])
                if status not in (200, 503):
                    yield problem(
                        f"Something else answers on {listen}: /healthz gives {status}.",
                        "Choose another address in [web] listen.",
                    )
                    return
    except (OSError, http.client.HTTPException) as error:
        why = getattr(error, "strerror", None) or str(error) or "no answer"
        cure = "Start the daemon." if host.status is None else "See its log; is the port free?"
        yield problem(f"{listen} does not answer: {why}.", cure)
        return
    yield ok(f"{listen} answers")


def _health(connection: socket.socket, host: str) -> int:
    client = http.client.HTTPConnection(host)
    client.sock = connection
    client.request("GET", "/healthz", headers={"Host": "localhost"})
    return client.getresponse().status


def prometheus(host: Host) -> Iterator[Finding]:
    """Whether somebody has read the metrics lately."""
    status, now = host.status, time.time()
    cure = "`checkpointd monitoring scrape-config` prints what Prometheus needs."
    if status is None:
        yield unknown("Only the daemon knows who reads its metrics.", "See `daemon` above.")
    elif status.last_scrape_at and now - status.last_scrape_at < _SCRAPED_LATELY:
        yield ok(f"/metrics was read {ago(status.last_scrape_at, now)}")
    elif status.last_scrape_at:
        when = ago(status.last_scrape_at, now)
        yield warning(f"/metrics was last read {when}: nobody is alerted.", cure)
    elif now - status.started_at < _STARTED:
        yield unknown(_NONE_YET, "Try again in five minutes.")
    else:
        when = ago(status.started_at, now)
        message = f"Nobody has read /metrics since the daemon was started {when}."
        yield warning(message, cure)
