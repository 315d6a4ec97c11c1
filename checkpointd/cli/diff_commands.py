"""`diff`: what differs between two checkpoints."""

import os
from typing import TYPE_CHECKING, Annotated, Any

import typer

from checkpointd.cli import errors
from checkpointd.cli.access import denied, must_exist
from checkpointd.cli.options import Json
from checkpointd.cli.verify_commands import no_checkpoint_at, run_until_signal, scratch_directory
from checkpointd.cli.workspace import workspace_of

if TYPE_CHECKING:
    from checkpointd.core.request import Request


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command()(diff)


_CODES = {"same": errors.OK, "different": errors.INVALID, "inconclusive": errors.INCONCLUSIVE}


def diff(
    context: typer.Context,
    first: Annotated[str, typer.Argument(metavar="A", help="A checkpoint.")],
    second: Annotated[str, typer.Argument(metavar="B", help="Another, of any format.")],
    weights: Annotated[
        bool, typer.Option("--weights", help="Compare the model's weights, and nothing else.")
    ] = False,
    everything: Annotated[
        bool, typer.Option("--all", help="List every tensor that differs, not the first 30.")
    ] = False,
    json: Json = False,
) -> int:
    """Compare two checkpoints.

    Tensors that changed, appeared or are gone, with shapes, types, norms and the largest
    differences; signatures and configuration. Formats may differ. Loads nothing.
    Exit codes: 0 they are the same, 1 they differ, 2 one is no checkpoint, 3 it is not certain,
    because a tensor could not be paired or one of the two is incomplete.
    """
    from checkpointd.cli.output import json_line
    from checkpointd.core.text import printable

    workspace = workspace_of(context)
    config = workspace.config_or_none()
    one, other = _request(first), _request(second)
    with scratch_directory() as scratch:
        facts = run_until_signal(_diff(one, other, config, scratch, weights=weights))
    if facts.get("error"):
        at_fault = printable(str(facts.get("at_fault") or f"{first} and {second}"))
        raise errors.CliError(f"{at_fault}: {facts['error']}", errors.INCONCLUSIVE)
    if json:
        json_line(facts)
    else:
        from checkpointd.cli.diff_view import show_diff

        show_diff(facts, everything=everything)
    return _CODES[facts["result"]]


def _request(typed: str) -> "Request":
    from checkpointd.core.checkpoint import Checkpoint
    from checkpointd.core.request import Request
    from checkpointd.core.verify_settings import VerifySettings
    from checkpointd.formats import ProbeState, generation_of, locate, probe

    must_exist(typed)
    try:
        candidate = locate(os.path.abspath(typed))
        probed = probe(candidate) if candidate else None
        if candidate is None or probed is None or probed.state is ProbeState.UNKNOWN:
            raise errors.CliError(no_checkpoint_at(typed), errors.USAGE)
        generation = generation_of(candidate.path, probed.format)
    except PermissionError as error:
        raise denied(error, typed) from None
    except OSError as error:
        raise errors.CliError(
            f"{typed} cannot be read: {error.strerror}.", errors.INCONCLUSIVE
        ) from None
    return Request(Checkpoint(candidate.path, probed.format), generation, VerifySettings())


async def _diff(
    first: "Request", second: "Request", config: Any, scratch: Any, *, weights: bool
) -> dict[str, Any]:
    from checkpointd.config import WorkerSettings
    from checkpointd.dispatch.local import LocalDispatcher

    dispatcher = LocalDispatcher(config.worker if config else WorkerSettings(), scratch)
    try:
        return await dispatcher.diff(first, second, weights_only=weights)
    finally:
        await dispatcher.close()
