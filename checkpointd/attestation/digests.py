"""SHA-256 of the files of a checkpoint, and of all together as OpenSSF Model Signing has it.

Source: model_signing/_signing/signing.py of model-signing 1.1: the digest of a model is the SHA-256
of the digests of its files, in the order of their names. A model that is one file is named `.`.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from checkpointd.formats import LOCAL, generation_of, member_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from checkpointd.core.checkpoint import Generation
    from checkpointd.core.format_specs import Format
    from checkpointd.formats import Storage

    Blocks = Callable[[str], Iterable[bytes]]

_BLOCK = 1 << 20


@dataclass(frozen=True)
class FileDigest:
    """One file: its name in the checkpoint, its size, and the SHA-256 of its bytes in hex."""

    name: str
    size: int
    sha256: str


class ChangedError(Exception):
    """The checkpoint was written while it was read."""


def name_in_model(path: str, member: str, *, alone: bool) -> str:
    """Name a member as Model Signing does: below the directory, or `.` for a single file.

    The files of a prefix, and shards, are named as if they alone were in their directory.

    Args:
        path: of the checkpoint.
        member: its name, as in `checkpoint.Member`.
        alone: it is the only one.
    """
    if not member and alone:
        return "."
    if member.startswith("/../"):
        return member[len("/../") :]
    if member.startswith("/"):
        return member[1:]
    return os.path.basename(path) + member


def of_model(files: Iterable[FileDigest]) -> str:
    """Return the digest of the model that these files are."""
    whole = hashlib.sha256()
    for file in sorted(files, key=_place):
        whole.update(bytes.fromhex(file.sha256))
    return whole.hexdigest()


def _place(file: FileDigest) -> list[str]:
    """Sort as paths are: `d/b` comes before `d.txt`."""
    return file.name.split("/")


def blocks_of_file(path: str) -> Iterator[bytes]:
    """Read a file, piece by piece."""
    with open(path, "rb", buffering=0) as file:
        while block := file.read(_BLOCK):
            yield block


def of_files(
    path: str, generation: Generation, blocks: Blocks = blocks_of_file
) -> tuple[FileDigest, ...]:
    """Read every member of a checkpoint.

    Args:
        path: of the checkpoint.
        generation: its members.
        blocks: reads one of them, piece by piece.

    Raises:
        OSError: one could not be read.
    """
    alone = len(generation.members) == 1
    digests = [
        FileDigest(
            name_in_model(path, member.name, alone=alone),
            *_of_file(member_path(path, member.name), blocks),
        )
        for member in generation.members
    ]
    return tuple(sorted(digests, key=_place))


def of_checkpoint(
    path: str,
    format: Format,
    storage_of: Callable[[str], Storage] = lambda _path: LOCAL,
    blocks: Blocks = blocks_of_file,
) -> tuple[FileDigest, ...]:
    """Read what is at a path now.

    Args:
        path: of the checkpoint; a URL with a `storage_of` and `blocks` that take one.
        format: of the checkpoint.
        storage_of: returns where it is, without anything that was known of it before.
        blocks: reads one of its files, piece by piece.

    Raises:
        ChangedError: it was written, replaced or removed meanwhile.
        OSError: it could not be read.
    """
    before = generation_of(path, format, storage_of(path))
    files = of_files(path, before, blocks)
    try:
        after = generation_of(path, format, storage_of(path))
    except FileNotFoundError:
        raise ChangedError from None
    if after.identity != before.identity:
        raise ChangedError
    return files


def _of_file(path: str, blocks: Blocks = blocks_of_file) -> tuple[int, str]:
    digest, size = hashlib.sha256(), 0
    for block in blocks(path):
        digest.update(block)
        size += len(block)
    return size, digest.hexdigest()


def differences(stated: Sequence[FileDigest], current: Sequence[FileDigest]) -> list[str]:
    """Say which files are not those that were stated; empty where all are."""
    ours = {file.name: file for file in current}
    theirs = {file.name: file for file in stated}
    sentences = [f"{name} is missing" for name in theirs if name not in ours]
    sentences += [f"{name} is not in it" for name in ours if name not in theirs]
    for name, file in ours.items():
        if name in theirs and theirs[name].sha256 != file.sha256:
            sentences.append(f"{'the file' if name == '.' else name} has other content")
    return sentences
