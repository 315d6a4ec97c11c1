"""`attest verify`: whether a signed statement of a daemon holds for what is at a path."""

import os
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from checkpointd.cli import errors
from checkpointd.cli.access import denied, must_exist
from checkpointd.cli.latest_commands import required_words
from checkpointd.cli.options import Json, PathArgument
from checkpointd.cli.verify_commands import no_checkpoint_at
from checkpointd.cli.workspace import Workspace, absolute, workspace_of
from checkpointd.core.urls import is_url

if TYPE_CHECKING:
    from checkpointd.attestation.digests import FileDigest
    from checkpointd.attestation.statement import Statement
    from checkpointd.formats import Candidate

attest = typer.Typer(help="Signed statements about valid checkpoints.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    attest.command()(verify)
    app.add_typer(attest, name="attest")


def verify(
    context: typer.Context,
    path: PathArgument,
    key: Annotated[
        str, typer.Option("--key", metavar="FILE", help="The public key of the daemon, in PEM.")
    ],
    requires: Annotated[
        list[str] | None,
        typer.Option("--requires", metavar="WHAT", help="What must have been shown; repeatable."),
    ] = None,
    envelope: Annotated[
        str | None,
        typer.Option(
            "--attestation",
            metavar="FILE",
            help="The attestation; default: PATH.intoto.jsonl, else that in the state directory.",
        ),
    ] = None,
    json: Json = False,
) -> int:
    """Verify the attestation of a checkpoint, for deployment gates.

    Reads the key, the attestation and every byte of the checkpoint, which may be in a bucket; needs
    no daemon, no ledger, no config and no TensorFlow. Exit codes: 0 it holds; 1 the signature does
    not, or the content is another; 2 no such path, or a key that cannot be used; 3 it holds, and
    does not state what --requires asks for, or the checkpoint is being written; 4 there is no
    attestation.
    """
    from checkpointd.attestation import AttestationError, keys
    from checkpointd.cli.output import json_line
    from checkpointd.core.text import printable

    workspace = workspace_of(context)
    required = sorted(required_words(requires or []))
    candidate = _located(path)
    try:
        public = keys.read_public(key)
    except AttestationError as error:
        raise errors.CliError(str(error), errors.USAGE) from None
    file, data = _attestation(workspace, candidate, envelope)
    code, message, statement = _verified(candidate, data, public, required)
    if json:
        json_line(_facts(candidate.path, file, code, message, statement))
    elif code == errors.OK and statement is not None:
        shown = printable(", ".join(sorted(statement.shown)) or "valid")
        print(f"{printable(candidate.path)}: attested ({shown}), {printable(statement.created)}")
        origin = str(statement.details.get("path", ""))
        if origin and origin != candidate.path:
            print(f"  verified as {printable(origin)}")
    else:
        print(f"{printable(candidate.path)}: {message}", file=sys.stderr)
    return code


def _located(path: str) -> "Candidate":
    from checkpointd.buckets import storage_of
    from checkpointd.formats import locate

    must_exist(path)
    try:
        where = absolute(path)
        candidate = locate(where, storage_of(where))
    except PermissionError as error:
        raise denied(error, path) from None
    except OSError as error:
        raise errors.CliError(f"{path} cannot be read: {error.strerror}.", errors.USAGE) from None
    if candidate is None:
        raise errors.CliError(no_checkpoint_at(path), errors.USAGE)
    return candidate


def _attestation(
    workspace: Workspace, candidate: "Candidate", named: str | None
) -> tuple[str, bytes]:
    """Read the attestation: the file named, else that beside the checkpoint, else the daemon's."""
    from checkpointd.attestation import SUFFIX

    places = (
        [named]
        if named
        else [candidate.path.rstrip("/") + SUFFIX, *_of_daemon(workspace, candidate)]
    )
    for place in places:
        try:
            return _read(place)
        except FileNotFoundError:
            continue
        except PermissionError as error:
            raise denied(error, place) from None
        except OSError as error:
            raise errors.CliError(
                f"{place} cannot be read: {error.strerror}.", errors.USAGE
            ) from None
    raise errors.CliError(
        f"There is no attestation: looked for {', '.join(places)}.", errors.NOTHING
    )


def _read(place: str) -> tuple[str, bytes]:
    """Read a file, or an object of a bucket; a little more than an attestation may have."""
    from checkpointd.attestation.envelope import MAX_BYTES
    from checkpointd.buckets import storage_of

    where = absolute(place)
    if is_url(where):
        return where, storage_of(where).pread(where, 0, MAX_BYTES + 1)
    with open(where, "rb") as file:
        return where, file.read(MAX_BYTES + 1)


def _of_daemon(workspace: Workspace, candidate: "Candidate") -> list[str]:
    """Where the daemon of this host writes it, if a config can be read that watches the path."""
    from checkpointd.attestation import SUFFIX
    from checkpointd.cli.workspace import below
    from checkpointd.daemon.published_content import file_name

    try:
        config = workspace.config_or_none()
    except errors.CliError:
        config = None
    if config is None:
        return []
    return [
        str(directory / file_name(os.path.relpath(candidate.path, watch.path), ending=SUFFIX))
        for watch in config.watch
        if (directory := config.attestation_directory(watch)) is not None
        and below(candidate.path, (str(watch.path),))
    ]


def _verified(
    candidate: "Candidate", data: bytes, public: Any, required: list[str]
) -> tuple[int, str, "Statement | None"]:
    from checkpointd.attestation import AttestationError, digests, envelope, statement
    from checkpointd.buckets import ObjectChangedError

    try:
        stated = statement.read(envelope.open_verified(data, public))
    except AttestationError as error:
        return errors.INVALID, f"The attestation does not hold. {error}", None
    try:
        files = _digests(candidate)
    except (digests.ChangedError, ObjectChangedError):
        return errors.INCONCLUSIVE, "It was written while it was read: try again.", stated
    except PermissionError as error:
        raise denied(error, candidate.path) from None
    except OSError as error:
        return errors.INCONCLUSIVE, f"It cannot be read: {error.strerror}.", stated
    differing = digests.differences(stated.files, files)
    if differing:
        more = f", and {len(differing) - 3} more" if len(differing) > 3 else ""  # noqa: PLR2004
        differences = "; ".join(differing[:3]) + more
        return (
            errors.INVALID,
            f"The attestation is about other content, that of {stated.created}: {differences}.",
            stated,
        )
    missing = [word for word in required if word not in stated.shown]
    if missing:
        shown = ", ".join(sorted(stated.shown)) or "nothing"
        return (
            errors.INCONCLUSIVE,
            f"The attestation holds and states {shown}, but not {', '.join(missing)}.",
            stated,
        )
    return errors.OK, "", stated


def _digests(candidate: "Candidate") -> "tuple[FileDigest, ...]":
    from checkpointd.attestation.digests import of_checkpoint
    from checkpointd.buckets import blocks_of, storage_of

    if not is_url(candidate.path):
        return of_checkpoint(candidate.path, candidate.hint)
    return of_checkpoint(candidate.path, candidate.hint, storage_of, blocks_of(candidate.path))


def _facts(
    path: str, file: str, code: int, message: str, stated: "Statement | None"
) -> dict[str, Any]:
    from checkpointd.core.text import encodable

    facts: dict[str, Any] = {"path": path, "attestation": file, "holds": code == errors.OK}
    facts["message"] = message
    if stated is not None:
        facts |= {
            "digest": stated.digest,
            "shown": sorted(stated.shown),
            "created": stated.created,
            "statement": dict(stated.details),
        }
    encoded: dict[str, Any] = encodable(facts)
    return encoded
