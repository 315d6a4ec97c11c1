"""`version`: what to write into a bug report."""

import typer

from checkpointd.cli.errors import OK
from checkpointd.cli.options import Json


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command()(version)


def version(json: Json = False) -> int:
    """Print the versions of checkpointd, Python, and what loads checkpoints here."""
    import platform
    import sys

    from checkpointd import __version__
    from checkpointd.dispatch.python_installation import installed_distributions

    installed = installed_distributions(sys.path)
    names = ("tensorflow", "tensorflow-cpu", "keras", "tf-keras")
    versions = {
        "checkpointd": __version__,
        "python": platform.python_version(),
        **{name: installed[name] for name in names if name in installed},
        "kernel": platform.release(),
    }
    if json:
        from checkpointd.cli.output import json_line

        json_line(versions)
    else:
        for name, number in versions.items():
            print(f"{name} {number}")
    return OK
