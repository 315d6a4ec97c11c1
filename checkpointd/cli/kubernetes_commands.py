"""`kubernetes write`."""

from pathlib import Path
from typing import Annotated

import typer

from checkpointd.cli.access import denied
from checkpointd.cli.errors import OK, USAGE, CliError

kubernetes_app = typer.Typer(
    help="Write kustomize bases that run the daemon in Kubernetes.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.add_typer(kubernetes_app, name="kubernetes")


@kubernetes_app.command()
def write(
    directory: Annotated[
        Path, typer.Argument(metavar="DIRECTORY", help="Where; made if it does not exist.")
    ],
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Overwrite edited files as well.")
    ] = False,
) -> int:
    """Write the bases shared, sidecar and monitoring for `kubectl apply -k`.

    Name them in a kustomization of your own rather than edit them, and run this again after an
    upgrade. `checkpointd docs kubernetes` explains each.
    """
    from checkpointd.cli.output import console, print_text
    from checkpointd.kubernetes.bases import EditedError
    from checkpointd.kubernetes.bases import write as write_bases

    try:
        written = write_bases(directory, overwrite=overwrite)
    except EditedError as error:
        raise CliError(
            f"Nothing was written, since these have other content: {error}. "
            "--overwrite replaces them.",
            USAGE,
        ) from None
    except PermissionError as error:
        raise denied(error, str(directory)) from None
    except OSError as error:
        raise CliError(f"{error.filename} cannot be written: {error.strerror}.", USAGE) from None
    for path in written:
        print_text(console(), f"wrote {path}")
    if not written:
        print_text(console(), f"Everything in {directory} is as it ships.")
    return OK
