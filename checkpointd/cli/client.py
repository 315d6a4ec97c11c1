"""Talks to the running daemon over its control socket: HTTP, with the standard library alone."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
from typing import TYPE_CHECKING, Any

from checkpointd.cli.errors import (
    CONFIG,
    INCONCLUSIVE,
    NOT_BEGUN,
    NOTHING,
    OWN_FAULT,
    UNREACHABLE,
    USAGE,
    CliError,
    DeniedError,
)
from checkpointd.core.permissions import MAY_CONNECT, cure_of_denial, only_owner, user_name
from checkpointd.observe.web.peers import peer_uid

if TYPE_CHECKING:
    from pathlib import Path

_CONNECT_SECONDS = 10.0
_CODES = {
    404: NOTHING,
    409: INCONCLUSIVE,
    412: NOT_BEGUN,
    415: USAGE,
    422: CONFIG,
    503: UNREACHABLE,
}


class NoDaemonError(CliError):
    """No daemon listens on the control socket."""

    def __init__(self, message: str, cure: str = "") -> None:
        super().__init__(message, UNREACHABLE, cure)


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost")
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(_CONNECT_SECONDS)
        self.sock.connect(self._path)
        _refuse_stranger(self.sock, self._path)
        self.sock.settimeout(self.timeout if isinstance(self.timeout, int | float) else None)


class Client:
    """A client of the daemon that has one state directory."""

    def __init__(self, state_dir: Path) -> None:
        self._path = os.fspath(state_dir / "control.sock")

    def is_up(self) -> bool:
        """Whether a process listens on the control socket."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.settimeout(_CONNECT_SECONDS)
            try:
                probe.connect(self._path)
            except PermissionError:
                return True
            except OSError:
                return False
        return True

    def get(self, target: str) -> Any:
        """Get a fact.

        Raises:
            NoDaemonError: no daemon runs.
            CliError: the daemon refused; the message is from the daemon.
        """
        return self._ask("GET", target, None)

    def post(self, action: str, **body: Any) -> Any:
        """Request a change, and wait for its outcome.

        Raises:
            NoDaemonError: no daemon runs.
            CliError: the daemon refused; the message is from the daemon.
        """
        is_plan = body.get("apply") is False  # which members of the group may see
        return self._ask("POST", f"/control/{action}", json.dumps(body), changes=not is_plan)

    def _ask(self, method: str, target: str, body: str | None, *, changes: bool = False) -> Any:
        connection = _Connection(self._path)
        try:
            connection.connect()
        except CliError:
            connection.close()
            raise
        except PermissionError:
            connection.close()
            raise _denied(self._path, changes=changes) from None
        except OSError:
            connection.close()
            raise NoDaemonError(
                f"No daemon listens on {self._path}.",
                "Start the service (`sudo systemctl start checkpointd`) or `checkpointd run`, or "
                "name its config with --config.",
            ) from None
        try:
            connection.request(method, target, body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            status, raw = response.status, response.read()
        except (OSError, http.client.HTTPException):
            raise CliError("The daemon ended before it had answered.", UNREACHABLE) from None
        finally:
            connection.close()
        return _answer(status, raw)


def _denied(path: str, *, changes: bool) -> DeniedError:
    """The error about a socket that this user may not use; the group may never make `changes`."""
    cure = cure_of_denial(path, MAY_CONNECT)
    if changes:
        with contextlib.suppress(OSError):
            cure = only_owner(os.stat(os.path.dirname(path)).st_uid)
    return DeniedError(f"You may not use the daemon's socket {path}.", cure)


def _refuse_stranger(sock: socket.socket, path: str) -> None:
    """Trust only root, our own user, or the owner of the state directory.

    Raises:
        CliError: another user has put a socket there.
    """
    uid = peer_uid(sock)
    owner = os.stat(os.path.dirname(path)).st_uid
    if uid not in (0, os.geteuid(), owner):
        raise CliError(
            f"User {user_name(uid)} answers on {path}, but its directory belongs to user "
            f"{user_name(owner)}: this is not the daemon. Check who may write there.",
            UNREACHABLE,
        )


def _answer(status: int, raw: bytes) -> Any:
    try:
        value = json.loads(raw)
    except ValueError:
        raise CliError(
            "The daemon's answer is not JSON: is it another version?", OWN_FAULT
        ) from None
    if status == http.client.OK:
        return value
    message = value.get("error") if isinstance(value, dict) else None
    sentence = str(message or f"The daemon refused ({status}).")
    if status == http.client.FORBIDDEN:
        raise DeniedError(sentence)
    raise CliError(sentence, _CODES.get(status, OWN_FAULT))
