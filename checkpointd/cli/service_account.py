"""The user that the service runs as, and what that user may do: tested as that user."""

from __future__ import annotations

import json
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from checkpointd.core.permissions import MAY_ENTER, denying_part, group_name, user_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

SERVICE_USER = "checkpointd"


@dataclass(frozen=True)
class Account:
    """A user with the groups of its process, which systemd may have added to."""

    uid: int
    gid: int
    groups: tuple[int, ...]

    @property
    def name(self) -> str:
        """The login name."""
        return user_name(self.uid)

    @property
    def is_self(self) -> bool:
        """Whether it is the user of this process."""
        return self.uid == os.geteuid()

    @property
    def can_be_tried(self) -> bool:
        """Whether this process can find out what the account may do."""
        return self.is_self or os.geteuid() == 0

    @property
    def popen(self) -> dict[str, Any]:
        """The arguments of `subprocess.run` that make a program run as this account."""
        if self.is_self:
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": list(self.groups)}


def own_account() -> Account:
    """The account of this process."""
    return Account(os.geteuid(), os.getegid(), tuple(os.getgroups()))


def account_of(state_dir: Path, pid: int) -> Account:
    """The account that the daemon runs as, or would: its process's, else that of its state.

    Args:
        state_dir: the state directory; it belongs to whom the daemon runs as.
        pid: of the daemon; 0 if it does not run.
    """
    running = _of_process(pid) if pid else None
    if running is not None:
        return running
    try:
        uid = state_dir.stat().st_uid
    except OSError:
        uid = _service_uid() if os.geteuid() == 0 else os.geteuid()
    return own_account() if uid == os.geteuid() else _of_user(uid)


def _of_process(pid: int) -> Account | None:
    try:
        text = Path(f"/proc/{pid}/status").read_text("utf-8", "replace")
        rows = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
        uid, gid = (int(rows[key].split()[1]) for key in ("Uid", "Gid"))
        return Account(uid, gid, tuple(map(int, rows["Groups"].split())))
    except (OSError, ValueError, LookupError):
        return None


def _service_uid() -> int:
    import pwd

    try:
        return pwd.getpwnam(SERVICE_USER).pw_uid
    except KeyError:
        return os.geteuid()


def _of_user(uid: int) -> Account:
    import pwd

    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        return Account(uid, uid, ())
    groups = os.getgrouplist(entry.pw_name, entry.pw_gid)
    return Account(uid, entry.pw_gid, tuple(groups))


def run_as(account: Account, function: Callable[[], Any]) -> Any:
    """Call a function as an account, in a process of its own.

    Args:
        account: `can_be_tried` must hold.
        function: its result must be JSON.

    Raises:
        OSError: the process could not be started, or could not switch to the account.
    """
    if account.is_self:
        return function()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.close(reading)
            os.setgroups(account.groups)
            os.setgid(account.gid)
            os.setuid(account.uid)
            with os.fdopen(writing, "w", encoding="utf-8") as pipe:
                json.dump(function(), pipe)
            code = 0
        finally:
            os._exit(code)
    os.close(writing)
    with os.fdopen(reading, encoding="utf-8") as pipe:
        text = pipe.read()
    _, status = os.waitpid(child, 0)
    if status:
        raise OSError(f"nothing could be tested as {account.name}")
    return json.loads(text)


def denials(account: Account, wants: Iterable[tuple[str, int]]) -> list[str]:
    """Try what an account needs to do, and return the cure for each access that it is denied.

    Args:
        account: `can_be_tried` must hold.
        wants: paths with the access that is needed, as for `os.access`.

    Returns:
        A sentence for each want, empty where it is granted or the path does not exist.
    """
    listed = list(wants)

    def tried() -> list[list[Any] | None]:
        parts = [denying_part(path, need) for path, need in listed]
        return [
            [part.path, part.status.st_mode, part.status.st_gid] if part else None for part in parts
        ]

    denied = run_as(account, tried)
    return [
        _cure(account, path, need, *row) if row else ""
        for (path, need), row in zip(listed, denied, strict=True)
    ]


def _cure(account: Account, path: str, need: int, part: str, mode: int, gid: int) -> str:
    if part != path:  # a directory above it, which need not be opened for more than passing
        need = MAY_ENTER
    wanted = need | (os.X_OK if stat.S_ISDIR(mode) else 0)
    if gid and (mode >> 3) & wanted == wanted and gid not in (account.gid, *account.groups):
        group = group_name(gid)
        return (
            f"Give the service the group {group}: `sudo systemctl edit checkpointd`, then write "
            f"`[Service]` and `SupplementaryGroups={group}`, and restart it."
        )
    if part != path or not stat.S_ISDIR(mode):
        rights = "x" if part != path else "rx" if need & MAY_ENTER else "r"
        return f"Grant {account.name} access: `sudo setfacl -m u:{account.name}:{rights} {part}`."
    user = f"u:{account.name}:{'rwX' if need & os.W_OK else 'rX'}"
    return f"Grant {account.name} access: `sudo setfacl -R -m {user} -m d:{user} {part}`."
