"""What a child may open: its interpreter, this checkpoint, and what user code needs.

Decided from the job before the first byte of a checkpoint is read; only directories are listed.
"""

from __future__ import annotations

import contextlib
import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from checkpointd.attestation import model_signing
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
    """The rules of one child, and the identity of each part of the checkpoint that they allow."""

    rules: tuple[PathRule, ...]
    identities: tuple[tuple[str, tuple[int, int]], ...] = ()

    def allows_reading(self, path: str) -> bool:
        """Whether a path may be read."""
        real = os.path.realpath(path)
        roots = (os.path.realpath(root) for root, access in self.rules if access & READ_FILE)
        return any(real == root or real.startswith(root.rstrip("/") + "/") for root in roots)

    def replaced(self) -> bool:
        """Whether a part of the checkpoint has been replaced since."""
        return any(_identity(path) != identity for path, identity in self.identities)


def interpreter_rules() -> tuple[PathRule, ...]:
    """Return the rules for this interpreter: its libraries, those of the system, a few devices."""
    paths = [sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix, *sys.path]
    paths += [os.path.dirname(os.path.realpath(sys.executable)), *_editable()]
    paths += os.environ.get("LD_LIBRARY_PATH", "").split(":")
    unique = dict.fromkeys((*_SYSTEM, *(path for path in paths if os.path.isabs(path))))
    return (*((path, READ) for path in unique), *DEVICES)


def _editable() -> Iterator[str]:
    """Yield the paths of packages that an editable install finds by an import hook."""
    for finder in sys.meta_path:
        module = sys.modules.get(str(getattr(finder, "__module__", "")))
        mapping = getattr(module, "MAPPING", None)
        if isinstance(mapping, dict):
            for path in mapping.values():
                yield str(path)
                yield f"{path}.py"


def checkpoint_rules(path: str, fmt: Format, generation: Generation | None) -> tuple[PathRule, ...]:
    """Return the rules for the members of a checkpoint and its golden record, and nothing beside.

    Args:
        path: of the checkpoint.
        fmt: its format.
        generation: its members; None or empty to find them on disk.
    """
    if generation is None or not generation.members:
        generation = None
        with contextlib.suppress(OSError):
            generation = generation_of(path, fmt)
    names = [m.name for m in generation.members] if generation else []
    members = [member_path(path, name) for name in names]
    from checkpointd.golden import path_for  # needs numpy: a zygote first reports what it lacks

    record = (path_for(path, fmt), READ_FILE)
    if fmt is Format.SAVEDMODEL:
        links = [member for member in members if os.path.islink(member)]
        return ((path, READ), *((link, READ_FILE) for link in links), record)
    whole = () if path.endswith("/") else ((path, READ),)  # an empty prefix is no directory
    rules = [*whole, *((member, READ_FILE) for member in members), record]
    spec = spec_of(fmt)
    if (spec is not None and spec.is_prefix) or path.endswith(WEIGHTS_MAP):
        rules.append((os.path.dirname(path) or ".", READ_DIR))
    return tuple(rules)


def rules_for_request(
    request: Request, scratch: str, target: str = "", other: Request | None = None
) -> AccessRules:
    """Return everything that one verification may open.

    Args:
        request: what is verified, and how.
        scratch: the child's directory.
        target: the directory for a copy; empty if it makes none.
        other: the checkpoint that it is compared with.
    """
    checkpoint, settings, previous = request.checkpoint, request.settings, request.previous
    checkpoint_paths = checkpoint_rules(checkpoint.path, checkpoint.format, request.generation)
    if other is not None:
        second = other.checkpoint
        checkpoint_paths += checkpoint_rules(second.path, second.format, other.generation)
    rules = [*interpreter_rules(), *checkpoint_paths, (scratch, WRITE)]
    if target:
        rules.append((target, WRITE))
    configured = [*settings.python_path, *settings.read_paths]
    if settings.signature_key:
        configured += [settings.signature_key, model_signing.place_of(checkpoint.path)]
    if settings.evaluate.data:
        configured.append(settings.evaluate.data)
    rules += [(path, READ) for path in configured]
    if previous is not None and settings.checks:
        rules += checkpoint_rules(previous.path, previous.facts.format, None)
    return AccessRules(tuple(rules), tuple(_identities(path for path, _ in checkpoint_paths)))


def _identities(paths: Iterable[str]) -> Iterator[tuple[str, tuple[int, int]]]:
    for path in paths:
        identity = _identity(path)
        if identity is not None:
            yield path, identity


def _identity(path: str) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino
