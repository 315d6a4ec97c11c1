"""Symbolic links among a checkpoint's files: an unpacked archive can bring them along.

Caches of models are made of links (Hugging Face's, DVC's), and such checkpoints are ordinary,
wherever their blobs lie. No blob of a model lies among a system's own files or a user's keys.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from checkpointd.formats import member_path
from checkpointd.verify.scan.findings import FOREIGN_REFERENCE, Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from checkpointd.verify.scan.scan_context import ScanContext

_SYSTEM = ("/etc/", "/proc/", "/sys/", "/dev/", "/boot/")
_MODELS_TOO = ("/dev/shm/",)  # noqa: S108 - where jobs keep models, and we write nothing
_SECRET = frozenset({".ssh", ".gnupg", ".aws", ".kube", ".docker", ".azure", ".config"})


def findings(context: ScanContext) -> Iterator[Finding]:
    """Judge where the links of a checkpoint lead."""
    path = context.request.checkpoint.path
    inside = os.path.realpath(path)
    home = inside if os.path.isdir(inside) else os.path.dirname(inside)
    for member in context.request.generation.members:
        target = os.path.realpath(member_path(path, member.name))
        if target.startswith(f"{home.rstrip('/')}/") or not is_nobodys_model(target):
            continue
        name = member.name.lstrip("/")
        yield Finding(
            FOREIGN_REFERENCE,
            f"{name or os.path.basename(path)} is a link to {target}, which is no part of a model: "
            "whoever serves it would give that file away. Do not load it.",
            where=name,
            what=target,
            in_weights=True,
        )


def is_nobodys_model(target: str) -> bool:
    """Whether a file lies where the system keeps its own, or a user their keys."""
    if not _SECRET.isdisjoint(target.split("/")):
        return True
    return target.startswith(_SYSTEM) and not target.startswith(_MODELS_TOO)
