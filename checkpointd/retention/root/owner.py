"""Which ledger a root belongs to, and its progress when it last removed anything.

By it a ledger that is new here, that was put back from a backup, or that another process uses as
well is noticed before it removes anything.
"""

from __future__ import annotations

import os
import secrets
import socket
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from checkpointd.retention.root.record_file import RecordFile

NAME = "ledger.json"

_PROCESS = secrets.token_hex(8)
"""This process; an id may be another's later, and is the same in every container."""


@dataclass(frozen=True)
class Owner:
    """The ledger by its id, how far it had come, and the process that wrote this."""

    ledger: str
    progress: int
    host: str
    pid: int
    process: str

    @classmethod
    def of(cls, ledger: str, progress: int) -> Owner:
        """This process with its ledger."""
        return cls(ledger, progress, socket.gethostname(), os.getpid(), _PROCESS)

    @property
    def is_own(self) -> bool:
        """Whether this very process wrote it."""
        return self.process == _PROCESS

    def body(self) -> dict[str, Any]:
        """What is written."""
        return asdict(self)

    @property
    def is_running(self) -> bool:
        """Whether the process still runs on this host, and is another one."""
        is_here = self.host == socket.gethostname() and self.pid != os.getpid()
        return is_here and os.path.exists(f"/proc/{self.pid}")


def owner_in(file: RecordFile) -> Owner | None:
    """The owner that a file names; None if it is damaged."""
    body = file.body or {}
    try:
        return Owner(
            str(body["ledger"]),
            int(body["progress"]),
            str(body["host"]),
            int(body["pid"]),
            str(body["process"]),
        )
    except (KeyError, TypeError, ValueError):
        return None


def doubts_of(directory: str, file: RecordFile, identity: str, written: str) -> tuple[str, str]:
    """Why the ledger is not the one that a root belongs to, and who else prunes there.

    Args:
        directory: where the file is.
        file: what was read, and neither written by this process nor accepted by a person.
        identity: the id of the ledger.
        written: the digest of what this process wrote last; empty if it wrote nothing yet.
    """
    owner = owner_in(file)
    if owner is None:
        return f"{directory}/{NAME} is damaged, so nobody knows which ledger this root has.", ""
    who = f"process {owner.pid} on host {owner.host!r}"
    if owner.ledger != identity:
        if owner.is_running or written:
            return (
                "",
                f"This root is pruned by another checkpointd with a ledger of its own ({who}).",
            )
        message = (
            f"This root belongs to another ledger (last written by {who}); this one is new here, "
            "and does not know what that one knew."
        )
        return message, ""
    if written:
        return "", f"This root is pruned by another checkpointd with a copy of this ledger ({who})."
    return "", ""
