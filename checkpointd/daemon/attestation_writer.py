"""Signs and writes the attestations of one watch; blocking, to be called in a separate thread.

The key is read again for each, so that a new one is used from the next verdict on.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Any

from checkpointd import __version__
from checkpointd.attestation import SUFFIX, envelope, keys, statement
from checkpointd.attestation.digests import FileDigest, name_in_model
from checkpointd.core.text import iso
from checkpointd.core.urls import is_url
from checkpointd.core.verdict import Verdict
from checkpointd.core.verify_settings import SUITE_VERSION
from checkpointd.daemon import published_content
from checkpointd.daemon.publisher import prepare_directory, replace_file, writing

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from checkpointd.core.checkpoint import Generation
    from checkpointd.core.report import Report
    from checkpointd.ledger import Entry

VERIFIER = f"pkg:pypi/checkpointd@{__version__}"


def subject_name(path: str, generation: Generation) -> str:
    """Name the subject of a statement: a file or directory, and in a bucket also its content.

    There it is the URL, `#`, and what the store calls the object's content; for several objects the
    key of the generation, which covers what it calls each of them.
    """
    if not is_url(path):
        return os.path.basename(path)
    members = generation.members
    return f"{path}#{members[0].tag if len(members) == 1 else generation.key}"


class AttestationWriter:
    """What one watch has attested.

    Args:
        directory: where its attestations are.
        root: of the watch; a URL for a bucket.
        roots: all watched directories, in which nothing is ever written.
    """

    def __init__(self, directory: Path, root: str, roots: Iterable[Path]) -> None:
        self._directory = directory
        self._root = root
        self._roots = tuple(roots)
        self._written: dict[str, str] | None = None

    def due(self, entries: list[Entry], key_file: Path) -> list[Entry]:
        """Remove what is outdated, and return the entries that have no attestation yet.

        Args:
            entries: all of the watch.
            key_file: to sign with.

        Raises:
            AttestationError: the key cannot be used.
            OSError: the directory cannot be used; `filename` is its path.
        """
        signer = keys.read_private(str(key_file)).identity
        prepare_directory(self._directory, self._roots)
        if self._written is None:
            self._written = self._read()
        valid = {
            self._name(entry): entry
            for entry in published_content.verdicts(entries)
            if entry.report is not None and entry.report.verdict is Verdict.VALID
        }
        for name in [name for name in self._written if name not in valid]:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._directory / name)
            del self._written[name]
        return [
            entry
            for name, entry in valid.items()
            if self._written.get(name) != f"{published_content.token(entry)} {signer}"
        ]

    def write(
        self, entry: Entry, report: Report, digests: Mapping[str, Any], key_file: Path
    ) -> None:
        """Sign what was shown of an entry.

        Args:
            entry: a valid one.
            report: the whole report about it.
            digests: the digests of its files, as a child has read them.
            key_file: to sign with.

        Raises:
            AttestationError: the key cannot be used.
            OSError: it cannot be written; `filename` is its path.
        """
        key = keys.read_private(str(key_file))
        path, rows = entry.checkpoint.path, digests["files"]
        alone = len(rows) == 1
        names = {row["name"]: name_in_model(path, row["name"], alone=alone) for row in rows}
        files = [FileDigest(names[row["name"]], row["size"], row["sha256"]) for row in rows]
        tags = {names[m.name]: m.tag for m in entry.generation.members if m.name in names}
        payload = statement.write(
            subject_name(path, entry.generation),
            files,
            report.shown,
            verifier=VERIFIER,
            created=iso(report.finished_at),
            details={
                "path": path,
                "watch": entry.checkpoint.watch,
                "format": str(report.facts.format),
                "series": entry.checkpoint.series,
                "step": report.checkpoint.step,
                "suite": SUITE_VERSION,
                "settings": report.settings_digest,
                "checks": {check.name: str(check.outcome) for check in report.checks},
                "environment": dict(report.facts.environment),
                "token": published_content.token(entry),
                **({"objects": tags} if is_url(path) else {}),
            },
        )
        name = self._name(entry)
        replace_file(self._directory / name, writing(envelope.sign(payload, key)))
        if self._written is not None:
            self._written[name] = f"{published_content.token(entry)} {key.identity}"

    def _name(self, entry: Entry) -> str:
        relative = os.path.relpath(entry.checkpoint.path, self._root)
        return published_content.file_name(relative, ending=SUFFIX)

    def _read(self) -> dict[str, str]:
        """Read which verdicts were attested, and by whom; what is broken is made again."""
        import base64
        import json

        tokens = {}
        for name in os.listdir(self._directory):
            if not name.endswith(SUFFIX):
                continue
            tokens[name] = ""
            with contextlib.suppress(OSError, ValueError, LookupError, TypeError):
                content = json.loads((self._directory / name).read_bytes())
                payload = json.loads(base64.b64decode(content["payload"]))
                token = payload["predicate"]["checkpointd"]["token"]
                tokens[name] = f"{token} {content['signatures'][0]['keyid']}"
        return tokens
