"""What a child may open: its interpreter, this checkpoint, and what the user's own code needs.

Decided from the job before the first byte of a checkpoint is read; only directories are listed.
Standard library only, Python 3.9.
"""

from __future__ import annotations

import contextlib
import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from checkpointd.core.format_specs import Format, spec_of
from checkpointd.formats import generation_of, member_path
from checkpointd.formats.names import WEIGHTS_MAP
from checkpointd.worker.landlock import READ, READ_DIR, READ_FILE, TRUNCATE, WRITE, WRITE_FILE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from checkpointd.core.checkpoint import Generation
    from checkpointd.core.request import Request

PathRule = tuple[str, int]
"""A path, and what Landlock allows there and below."""

_SYSTEM = (
    *("/usr", "/lib", "/lib32", "/lib64", "/bin", "/sbin", "/nix/store", "/gnu/store"),
    *("/etc/ld.so.cache", "/etc/localtime", "/etc/timezone"),
    *("/etc/ssl/openssl.cnf", "/etc/pki/tls/openssl.cnf", "/etc/crypto-policies"),
    *("/proc/self", "/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/proc/version"),
    *("/proc/filesystems", "/proc/sys/vm/overcommit_memory"),
    *("/sys/devices/system/cpu", "/sys/devices/system/node"),
    "/sys/kernel/mm/transparent_hugepage",
    *("/dev/zero", "/dev/urandom", "/dev/random"),
)

DEVICES: tuple[PathRule, ...] = (("/dev/null", READ_FILE | WRITE_FILE | TRUNCATE),)


@dataclass(frozen=True)
class AccessRules:
    """The rules of one child, and the identity of each part of the checkpoint that they bind."""

    rules: tuple[PathRule, ...]
    bound: tuple[tuple[str, tuple[int, int]], ...] = ()

    def covers(self, path: str) -> bool:
        """Whether a path may be read."""
        real = os.path.realpath(path)
        roots = (os.path.realpath(root) for root, access in self.rules if access & READ_FILE)
        return any(real == root or real.startswith(root.rstrip("/") + "/") for root in roots)

    def replaced(self) -> bool:
        """Whether something else lies now where a part of the checkpoint was."""
        return any(_identity(path) != identity for path, identity in self.bound)


def interpreter_rules() -> tuple[PathRule, ...]:
    """What this interpreter runs on: its libraries, those of the system, a few devices."""
    own = [sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix, *sys.path]
    own += [os.path.dirname(os.path.realpath(sys.executable)), *_editable()]
    own += os.environ.get("LD_LIBRARY_PATH", "").split(":")
    places = dict.fromkeys((*_SYSTEM, *(path for path in own if os.path.isabs(path))))
    return (*((path, READ) for path in places), *DEVICES)


def _editable() -> Iterator[str]:
    """Where the packages lie that are installed in place by way of an import hook."""
    for finder in sys.meta_path:
        module = sys.modules.get(str(getattr(finder, "__module__", "")))
        mapping = getattr(module, "MAPPING", None)
        if isinstance(mapping, dict):
            for place in mapping.values():
                yield str(place)
                yield f"{place}.py"


def checkpoint_rules(
    path: str, form: Format, generation: Generation | None
) -> tuple[PathRule, ...]:
    """What a checkpoint is made of, its golden record, and no more of the directory around it.

    Args:
        path: of the checkpoint.
        form: what it is taken for.
        generation: its members; None or empty to look for them.
    """
    if generation is None or not generation.members:
        generation = None
        with contextlib.suppress(OSError):
            generation = generation_of(path, form)
    names = [m.name for m in generation.members] if generation else []
    members = [member_path(path, name) for name in names]
    from checkpointd.golden import path_for  # needs numpy: a zygote first reports what it lacks

    record = (path_for(path, form), READ_FILE)
    if form is Format.SAVEDMODEL:
        links = [member for member in members if os.path.islink(member)]
        return ((path, READ), *((link, READ_FILE) for link in links), record)
    whole = () if path.endswith("/") else ((path, READ),)  # an empty prefix is no directory
    rules = [*whole, *((member, READ_FILE) for member in members), record]
    spec = spec_of(form)
    if (spec is not None and spec.is_prefix) or path.endswith(WEIGHTS_MAP):
        rules.append((os.path.dirname(path) or ".", READ_DIR))
    return tuple(rules)


def rules_for_request(request: Request, scratch: str, target: str = "") -> AccessRules:
    """Everything that one verification may open.

    Args:
        request: what is verified, and how.
        scratch: the child's own directory.
        target: where it makes a copy; empty if it makes none.
    """
    checkpoint, settings, previous = request.checkpoint, request.settings, request.previous
    own = checkpoint_rules(checkpoint.path, checkpoint.format, request.generation)
    rules = [*interpreter_rules(), *own, (scratch, WRITE)]
    if target:
        rules.append((target, WRITE))
    configured = [*settings.python_path, *settings.read_paths]
    if settings.evaluate.data:
        configured.append(settings.evaluate.data)
    rules += [(path, READ) for path in configured]
    if previous is not None and settings.checks:
        rules += checkpoint_rules(previous.path, previous.facts.format, None)
    return AccessRules(tuple(rules), tuple(_bound(path for path, _ in own)))


def _bound(paths: Iterable[str]) -> Iterator[tuple[str, tuple[int, int]]]:
    for path in paths:
        identity = _identity(path)
        if identity is not None:
            yield path, identity


def _identity(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino
