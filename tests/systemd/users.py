"""Runs inside a real systemd: each command as root, as a member of the group and as somebody else.

Prints each cell that is not as the manual has it, and `ok` with the name of the fact if none is.
The arguments are a checkpoint that the service knows, a member of the group, and who is none.
"""

from __future__ import annotations

import contextlib
import io
import os
import pwd
import sys

from checkpointd.cli import main

CHECKPOINT, MEMBER, OTHER = sys.argv[1:]
JOIN = f"sudo usermod -aG checkpointd {OTHER}"
BE = "sudo -u checkpointd"
COMMANDS = """
0  0  status
0  0  list
0  0  show {path}
0  0  latest resnet
0  0  wait {path} --timeout 1s
0  0  prune
69 7  prune --apply
0  0  pins
69 0  pin {path}
4  0  unpin {path}
0  0  tags
69 0  tag {path} good
4  0  untag {path}
0  0  trash list
0  0  trash empty
4  4  restore {path}-gone
0  0  hooks list
69 4  hooks retry
69 0  reload
0  0  config check
0  0  config show
"""
"""The exit codes of a member and of root; any other user gets 69."""

FREE = ("config example", "explain finite.nan", "monitoring rules", "docs glossary", "version")
"""What everybody may do."""


def run_here(arguments: list[str]) -> tuple[int, str]:
    """Run a command in this process, which is root's: then no child has to import it again."""
    output = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
        code = main.run(arguments)
    output.seek(0)
    return code, output.read()


def run_as(user: str, arguments: list[str]) -> tuple[int, str]:
    """Run a command in a child that is a user, and return its exit code and all its output."""
    account = pwd.getpwnam(user)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.initgroups(user, account.pw_gid)
        os.setgid(account.pw_gid)
        os.setuid(account.pw_uid)
        os.environ["HOME"] = account.pw_dir
        for descriptor in (1, 2):
            os.dup2(writing, descriptor)
        sys.stdout = sys.stderr = os.fdopen(1, "w", closefd=False)
        code = 99
        try:
            code = main.run(arguments)
        finally:
            sys.stdout.flush()
            os._exit(code)
    os.close(writing)
    with os.fdopen(reading, encoding="utf-8") as pipe:
        text = pipe.read()
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), text


def cells() -> list[tuple[str, str, int, str]]:
    """Each command with a user, the exit code that is right, and words of its output."""
    found = []
    for line in COMMANDS.strip().splitlines():
        member, root, command = line.split(maxsplit=2)
        found.append(("root", command, int(root), ""))
        found.append((MEMBER, command, int(member), BE if member == "69" else ""))
        found.append((OTHER, command, 69, BE if member == "69" else JOIN))
    return found + [(OTHER, command, 0, "") for command in FREE]


os.chdir("/")  # a directory that everybody may look at
wrong = 0
for user, command, code, words in cells():
    arguments = command.format(path=CHECKPOINT).split()
    done, text = run_here(arguments) if user == "root" else run_as(user, arguments)
    if done != code or words not in text:
        wrong += 1
        print(f"as {user}: {command}: {done}, not {code} ({words!r}): {text[:400]}")  # noqa: T201
if not wrong:
    print("ok each user gets what the manual says")  # noqa: T201
