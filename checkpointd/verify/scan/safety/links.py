"""Symbolic links among a checkpoint's files: an unpacked archive may contain them.

Caches of models (Hugging Face's, DVC's) consist of links, and such checkpoints are ordinary,
wherever their blobs are. No blob of a model is among the files of the system or a user's keys.
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
    """Judge the targets of the links in a checkpoint."""
    path = context.request.checkpoint.path
    inside = os.path.realpath(path)
    directory = inside if os.path.isdir(inside) else os.path.dirname(inside)
    for member in context.request.generation.members:
        target = os.path.realpath(member_path(path, member.name))
        if target.startswith(f"{directory.rstrip('/')}/") or not is_never_a_model(target):
            continue
        name = member.name.lstrip("/")
        yield Finding(
            FOREIGN_REFERENCE,
            f"{name or os.path.basename(path)} is a link to {target}, which is no part of a model: "
            "a server that publishes it would give that file away. Do not load it.",
            where=name,
            what=target,
            in_weights=True,
        )


def is_never_a_model(target: str) -> bool:
    """Whether a file is where the system keeps its files, or a user keeps keys."""
    if not _SECRET.isdisjoint(target.split("/")):
        return True
    return target.startswith(_SYSTEM) and not target.startswith(_MODELS_TOO)
