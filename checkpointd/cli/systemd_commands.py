"""`systemd install`, `systemd uninstall`."""

from typing import TYPE_CHECKING, Annotated

import typer

from checkpointd.cli.errors import OK, USAGE, CliError

if TYPE_CHECKING:
    from checkpointd.systemd.disk import Disk
    from checkpointd.systemd.layout import Layout

systemd_app = typer.Typer(
    help="Install the service, or remove it.", no_args_is_help=True, rich_markup_mode=None
)

User = Annotated[
    str | None,
    typer.Option(
        "--user",
        metavar="NAME",
        help="The user of the training job, as whom checkpointd@NAME runs; default: a user of its "
        "own, checkpointd.",
    ),
]
Worker = Annotated[
    bool,
    typer.Option(
        "--worker", help="The service of a worker of a fleet, checkpointd-worker, instead."
    ),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Print what would be done, and do nothing.")
]
Root = Annotated[
    str, typer.Option("--root", metavar="DIRECTORY", help="Another system's root, as in an image.")
]


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.add_typer(systemd_app, name="systemd")


@systemd_app.command()
def install(
    user: User = None,
    watch: Annotated[
        list[str] | None,
        typer.Option(
            "--watch", metavar="DIRECTORY", help="A directory to watch, for the first config."
        ),
    ] = None,
    worker: Worker = False,
    dry_run: DryRun = False,
    root: Root = "",
) -> int:
    """Write the units, their drop-ins, the service's user and a first config.

    They start the program that you call now. Run it again after an upgrade, or after a change of
    directories or address in the config: it writes what has changed. What you have changed by hand
    is kept, and the new file is written beside it as FILE.new. Without root it is a service of
    your own systemd.
    """
    import os

    from checkpointd.systemd import installer
    from checkpointd.systemd.disk import Disk
    from checkpointd.systemd.fleet import install_worker
    from checkpointd.systemd.service import InstallError

    if worker and watch:
        raise CliError("A worker watches nothing: --worker and --watch do not go together.", USAGE)
    disk = Disk(root, dry_run=dry_run)
    try:
        place = _place(user)
        other = os.path.abspath(root) if root else ""
        done = (
            install_worker(disk, place)
            if worker
            else installer.install(disk, place, watch or (), other)
        )
    except InstallError as error:
        raise CliError(str(error), USAGE) from None
    except PermissionError as error:
        raise CliError(f"{error.filename} cannot be written: {error.strerror}.", USAGE) from None
    _print_steps(disk, place, dry_run)
    for line in done.notes:
        _print(line)
    _print_next(done.next_steps)
    return OK


@systemd_app.command()
def uninstall(
    user: User = None, worker: Worker = False, dry_run: DryRun = False, root: Root = ""
) -> int:
    """Remove what `install` wrote, unless you have changed it; config, state and user stay."""
    from checkpointd.systemd import installer
    from checkpointd.systemd.disk import Disk
    from checkpointd.systemd.fleet import uninstall_worker
    from checkpointd.systemd.service import InstallError

    remove = uninstall_worker if worker else installer.uninstall
    try:
        done = remove(Disk(root, dry_run=dry_run), _place(user))
    except InstallError as error:
        raise CliError(str(error), USAGE) from None
    except PermissionError as error:
        raise CliError(f"{error.filename} cannot be removed: {error.strerror}.", USAGE) from None
    verb = "would remove" if dry_run else "removed"
    for path in done.removed:
        _print(f"{verb:<12} {path}")
    for line in done.notes:
        _print(line)
    _print_next(done.next_steps)
    return OK


def _place(user: str | None) -> "Layout":
    import os

    from checkpointd.systemd.service import place_for

    return place_for(user, is_root=os.geteuid() == 0)


def _print_steps(disk: "Disk", place: "Layout", dry_run: bool) -> None:
    from checkpointd.systemd.plan import Step

    if place.is_own:
        _print("You are not root: this is a service of your own systemd.")
    words = {
        Step.WRITE: "would write" if dry_run else "wrote",
        Step.UPDATE: "would update" if dry_run else "updated",
        Step.NOTHING: "unchanged",
        Step.KEEP: "kept",
    }
    for step, path in disk.steps:
        note = f": changed by hand, the new one is {path}.new" if step is Step.KEEP else ""
        _print(f"{words[step]:<12} {path}{note}")


def _print_next(steps: "list[str]") -> None:
    if steps:
        print("Next:")
    for step in steps:
        _print(f"  {step}")


def _print(line: str) -> None:
    from checkpointd.core.text import printable

    print(printable(line))
