"""`verify` and `inspect`: whether a checkpoint is good, and what is in it."""

import contextlib
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from checkpointd.cli import errors
from checkpointd.cli.access import denied, must_exist
from checkpointd.cli.options import Json, PathArgument
from checkpointd.cli.workspace import Workspace, absolute, known_path, workspace_of


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command()(verify)
    app.command()(inspect)


def verify(
    context: typer.Context,
    paths: Annotated[
        list[str], typer.Argument(metavar="PATH", help="Checkpoints, or directories of them.")
    ],
    record: Annotated[
        bool, typer.Option("--record", help="Verify through the daemon, which records the report.")
    ] = False,
    json: Json = False,
) -> int:
    """Verify checkpoints now.

    Each path, or each checkpoint found under a directory, as many at once as there are cores;
    verdicts are printed in the order of the paths. Needs no daemon and no config; with a config, a
    path inside a watch is verified with the settings of that watch. Exit codes: 0 all are valid, 1
    one is invalid, 2 one is no checkpoint, 3 one is inconclusive; with --record also 4, one is not
    known to the daemon.
    """
    workspace = workspace_of(context)
    with contextlib.ExitStack() as stack:
        scan = None if record else stack.enter_context(_scan_started())
        from checkpointd.cli.verify_view import View
        from checkpointd.cli.verifying import find

        config = workspace.config_or_none()
        targets = find(paths, config)
        for path in targets.missing:
            _print_error(path, "there is no such path")
        for path in targets.empty:
            hint = "; links in it are not followed: name them" if _holds_links(path) else ""
            _print_error(path, f"there is no checkpoint in this directory{hint}")
        view = View(json=json)
        refused: list[int] = []
        with view.progress(len(targets.targets)):
            if scan is None:
                refused = _record(workspace, targets.targets, view)
            elif targets.targets:
                run_until_signal(_verify(targets.targets, config, *scan, view))
    return _exit_code(view.verdicts, missing=bool(targets.missing), refused=refused)


@contextlib.contextmanager
def _scan_started() -> Iterator[tuple[Path, Any]]:
    """Start the interpreter that scans, while this one still imports what it needs itself.

    Yields:
        A scratch directory, and what was started; None where it cannot be.
    """
    import signal

    from checkpointd.dispatch.zygote_start import launch
    from checkpointd.worker.protocol import SCAN

    before = signal.signal(signal.SIGTERM, signal.default_int_handler)  # it leaves nothing behind
    try:
        with contextlib.ExitStack() as stack:
            scratch = stack.enter_context(scratch_directory())
            started = None
            with contextlib.suppress(OSError):  # the code that needs it tries again, and explains
                started = launch(sys.executable, SCAN, scratch)
                stack.callback(started.close)
            yield scratch, started
    finally:
        signal.signal(signal.SIGTERM, before)


def _holds_links(directory: str) -> bool:
    """Whether some of its entries are symbolic links, as in a cache of Hugging Face or DVC."""
    try:
        with os.scandir(directory) as entries:
            return any(entry.is_symlink() for entry in entries)
    except OSError:
        return False


_CODES = {"valid": errors.OK, "inconclusive": errors.INCONCLUSIVE, None: errors.USAGE}
_WORST_FIRST = (
    errors.INVALID,
    errors.OWN_FAULT,
    errors.UNREACHABLE,
    errors.USAGE,
    errors.NOTHING,
    errors.INCONCLUSIVE,
)


def _exit_code(
    verdicts: Sequence[str | None], *, missing: bool, refused: Sequence[int] = ()
) -> int:
    """The worst of what was found, of whether a path was missing, and of the daemon's refusals."""
    codes = {_CODES.get(verdict, errors.INVALID) for verdict in verdicts} | set(refused)
    if missing:
        codes.add(errors.USAGE)
    if not codes:
        return errors.NOTHING
    return next((code for code in _WORST_FIRST if code in codes), max(codes))


def _print_error(path: str, message: str) -> None:
    from checkpointd.core.text import printable

    print(f"{printable(path)}: {message}.", file=sys.stderr)


def _record(workspace: Workspace, targets: Any, view: Any) -> list[int]:
    """Have the daemon verify each, also after one has failed.

    Returns:
        The exit codes of those that the daemon refused; each refusal was printed.

    Raises:
        NoDaemonError: no daemon runs.
    """
    from checkpointd.cli.client import Client, NoDaemonError

    client = Client(workspace.locations().state_dir)
    refused = []
    for target in targets:
        view.begin(target)
        if target.problem:
            view.show(target.problem)
            continue
        try:
            view.show(client.post("verify", path=known_path(workspace, target.path)))
        except NoDaemonError:
            raise
        except errors.CliError as error:
            view.refuse(str(error))
            refused.append(error.code)
    return refused


@contextlib.contextmanager
def scratch_directory() -> Iterator[Path]:
    """Make a directory for a dispatcher, and remove it in the end."""
    import tempfile

    from checkpointd.core.remove_tree import remove_tree

    directory = Path(tempfile.mkdtemp(prefix="checkpointd-"))
    try:
        yield directory
    finally:
        with contextlib.suppress(OSError):
            remove_tree(directory)


async def _verify(targets: Any, config: Any, scratch: Path, scan: Any, view: Any) -> None:
    from checkpointd.cli.verifying import verify_here
    from checkpointd.config import WorkerSettings
    from checkpointd.core.urls import is_url
    from checkpointd.dispatch.local import LocalDispatcher

    worker = config.worker if config else WorkerSettings()
    at_once = max(worker.concurrency, min(len(os.sched_getaffinity(0)), len(targets)))
    worker = worker.model_copy(update={"spares": 0, "concurrency": at_once})
    dispatcher: Any = LocalDispatcher(worker, scratch, scan=scan)
    if any(is_url(target.path) for target in targets):
        from checkpointd.daemon.staging import StagingDispatcher

        budget = config.daemon.staging_bytes if config else "auto"
        dispatcher = StagingDispatcher(dispatcher, scratch / "staging", budget)
    try:
        view.begin(targets[0])
        async with contextlib.aclosing(
            verify_here(targets, dispatcher, view.check, at_once)
        ) as results:
            async for public in results:
                view.show(public)
    finally:
        await dispatcher.close()


def run_until_signal(work: Any) -> Any:
    """Run a coroutine; SIGTERM cancels it as Ctrl-C does, so that nothing is left behind."""
    import asyncio
    import signal

    async def cancelled_by_sigterm() -> Any:
        task = asyncio.ensure_future(work)
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        return await task

    try:
        return asyncio.run(cancelled_by_sigterm())
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None


def inspect(
    context: typer.Context,
    path: PathArgument,
    ops: Annotated[
        bool, typer.Option("--ops", help="List the operations that a SavedModel's graphs use, too.")
    ] = False,
    json: Json = False,
) -> int:
    """List what is in a checkpoint.

    Format, writer, tensors, dtypes, shapes, bytes, custom objects; of a SavedModel each graph with
    its tags, signatures, their methods, and functions. Loads nothing.
    Exit code 1 if it is incomplete or damaged, 2 if it is no checkpoint.
    """
    from checkpointd.buckets import storage_of
    from checkpointd.cli.output import json_line
    from checkpointd.formats import ProbeState, locate, probe

    workspace_of(context)
    must_exist(path)
    try:
        where = absolute(path)
        storage = storage_of(where)
        candidate = locate(where, storage)
        probed = probe(candidate, storage) if candidate else None
    except PermissionError as error:
        raise denied(error, path) from None
    except OSError as error:
        raise errors.CliError(f"{path} cannot be read: {error.strerror}.", errors.INVALID) from None
    if candidate is None or probed is None or probed.state is ProbeState.UNKNOWN:
        raise errors.CliError(no_checkpoint_at(path), errors.USAGE)
    with scratch_directory() as scratch:
        facts = run_until_signal(_inspect(candidate.path, probed.format, scratch))
    if facts.get("error"):
        raise errors.CliError(f"{candidate.path}: {facts['error']}", errors.INVALID)
    if facts.get("format") == "unknown":
        raise errors.CliError(no_checkpoint_at(path), errors.USAGE)
    facts = {"path": candidate.path, "size_bytes": candidate.generation.size_bytes, **facts}
    if json:
        json_line(facts)
    else:
        from checkpointd.cli.inspect_view import show_inspection

        show_inspection(facts, ops=ops)
    return errors.INVALID if facts.get("problem") else errors.OK


def no_checkpoint_at(path: str) -> str:
    """Explain that what is at a path is no checkpoint."""
    from checkpointd.cli.verifying import no_checkpoint

    where = absolute(path)
    return f"{where} {no_checkpoint(where)['message']}"


async def _inspect(path: str, fmt: Any, scratch: Path) -> dict[str, Any]:
    from checkpointd.config import WorkerSettings
    from checkpointd.daemon.staging import StagingDispatcher
    from checkpointd.dispatch.local import LocalDispatcher

    local = LocalDispatcher(WorkerSettings(), scratch)
    dispatcher = StagingDispatcher(local, scratch / "staging", "auto")
    try:
        return await dispatcher.inspect(path, fmt)
    finally:
        await dispatcher.close()
