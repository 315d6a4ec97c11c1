"""Checks whether what a config names exists and is usable: roots, interpreters, code, hooks, keys.

The daemon starts without most of it, so most findings are warnings.
"""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

from checkpointd.cli.service_account import denials
from checkpointd.core.permissions import MAY_ENTER, MAY_READ, MAY_WRITE
from checkpointd.dispatch.python_installation import library_directories, why_unusable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from checkpointd.cli.service_account import Account
    from checkpointd.config import Config, Problem, WatchSettings

    Loc = tuple[str | int, ...]
    Warnings = Iterator[tuple[Loc, str]]


def check_named_files(path: Path, config: Config, account: Account | None = None) -> list[Problem]:
    """Check everything that a config names, as far as possible without running it.

    Args:
        path: of the config.
        config: what it holds.
        account: whom the daemon runs as; without one, permissions are not checked.

    Returns:
        Warnings: what a person should look at although it is not an error.

    Raises:
        ConfigError: the daemon would not start, or never load a checkpoint, with one of them.
    """
    from checkpointd.config import ConfigError
    from checkpointd.config.advice import advice
    from checkpointd.observe.web.access import warnings as web_warnings
    from checkpointd.observe.web.credentials import CredentialsError, load

    problems = [
        _problem(path, ("watch", number, "verify", "python"), f"{watch.verify.python} {why}")
        for number, watch in enumerate(config.watch)
        if watch.verify.python and (why := why_unusable(str(watch.verify.python)))
    ]
    warnings: list[tuple[Loc, str]] = []
    try:
        warnings += [(w.loc, w.message) for w in web_warnings(config.web, load(config.web))]
    except CredentialsError as error:
        problems += [_problem(path, t.loc, t.message) for t in error.problems]
    if problems:
        raise ConfigError(path, sorted(problems, key=lambda p: (p.line, p.key)))
    warnings += advice(config)
    tried = account if account is not None and account.can_be_tried else None
    for number, watch in enumerate(config.watch):
        for loc, message in _watch_warnings(watch, tried):
            warnings.append((("watch", number, *loc), message))
    return [_problem(path, loc, message) for loc, message in warnings]


def _problem(path: Path, loc: Loc, message: str) -> Problem:
    """Return the error at a key, with its line."""
    from checkpointd.config import Problem
    from checkpointd.config.lines import line_of, lines
    from checkpointd.config.validate import key_of

    return Problem(key_of(loc), message, line_of(loc, lines(path.read_text(encoding="utf-8"))))


def _watch_warnings(watch: WatchSettings, account: Account | None) -> Warnings:
    yield from _root_warnings(watch, account)
    yield from _replicate_warnings(watch)
    yield from _trash_warnings(watch, account)
    verify = watch.verify
    for key in ("python_path", "read_paths"):
        for place in getattr(verify, key):
            if not os.path.exists(place):
                yield ("verify", key), f"{place} does not exist"
            elif account is not None:
                (cure,) = denials(account, [(str(place), MAY_READ)])
                if cure:
                    yield (
                        ("verify", key),
                        f"{account.name} may not read {place}. {cure.rstrip('.')}",
                    )
    yield from _module_warnings(watch)
    data = verify.evaluate.data if verify.evaluate is not None else None
    if data is not None and not os.path.isfile(data):
        yield ("verify", "evaluate"), f"{data} is not a file"
    yield from hook_warnings(watch, account)


def _root_warnings(watch: WatchSettings, account: Account | None) -> Warnings:
    root = str(watch.path)
    if watch.bucket:
        from checkpointd.buckets import why_not_listed

        if why := why_not_listed(watch.bucket):
            yield ("path",), why.rstrip(".")
        elif watch.retention.mode == "enforce":
            from checkpointd.retention.buckets import why_not_pruned

            if why := why_not_pruned(watch):
                yield ("retention", "mode"), f"nothing is removed from {watch.bucket}: {why}"
        return
    if account is not None:
        is_enforced = watch.retention.mode == "enforce"
        for need, verb in (
            (MAY_READ, "read"),
            *([(MAY_WRITE, "write into")] if is_enforced else []),
        ):
            (cure,) = denials(account, [(root, need)])
            if cure:
                yield ("path",), f"{account.name} may not {verb} {root}. {cure.rstrip('.')}"
                return
    if not os.path.lexists(root):
        yield ("path",), f"{root} does not exist yet; the daemon waits for it"
    elif not os.path.isdir(root):
        yield ("path",), f"{root} is not a directory"


def _replicate_warnings(watch: WatchSettings) -> Warnings:
    """Why nothing could be copied to `to`."""
    from checkpointd.buckets import why_not_listed

    if watch.replicate.to and (why := why_not_listed(watch.replicate.to)):
        yield ("replicate", "to"), why.rstrip(".")


def _trash_warnings(watch: WatchSettings, account: Account | None) -> Warnings:
    """Why nothing could be moved to `trash_dir`."""
    from checkpointd.retention.trash import nearest_directory, place_of, why_unusable

    if watch.bucket:
        return
    place = place_of(watch)
    if watch.retention.mode == "off" or place.is_inside:
        return
    if why := why_unusable(place):
        yield ("retention", "trash_dir"), why
    elif account is not None:
        there = nearest_directory(os.path.dirname(place.directory))
        (cure,) = denials(account, [(there, MAY_WRITE)])
        if cure:
            message = f"{account.name} may not write into {there}. {cure.rstrip('.')}"
            yield ("retention", "trash_dir"), message


def _module_warnings(watch: WatchSettings) -> Warnings:
    """The modules that are named and are neither on `python_path` nor installed."""
    verify = watch.verify
    named: list[tuple[str, str]] = [
        ("custom_objects", one) for one in verify.custom_objects.values()
    ]
    named += [("builder", verify.builder)] if verify.builder else []
    named += [("checks", check.function) for check in verify.checks if check.function]
    if verify.evaluate is not None and verify.evaluate.function:
        named.append(("evaluate", verify.evaluate.function))
    if not named or not all(os.path.exists(place) for place in verify.python_path):
        return  # what is missing has a warning of its own
    places = [str(place) for place in verify.python_path]
    installed = library_directories(str(verify.python)) if verify.python else _own_directories()
    for key, dotted in dict.fromkeys(named):
        module = dotted.partition(":")[0]
        if not any(_has_module(place, module) for place in (*places, *installed)):
            where = ", ".join(places) or "python_path, which is empty"
            yield ("verify", key), f"there is no module {module!r} in {where}, nor is it installed"


def _own_directories() -> list[str]:
    import sys

    return [place for place in sys.path if place]


def _has_module(directory: str, module: str) -> bool:
    """Whether a directory holds a module, with all packages that its dotted name contains."""
    path = os.path.join(directory, *module.split("."))
    if os.path.isdir(path) or os.path.isfile(f"{path}.py"):
        return True
    above, _, name = path.rpartition("/")
    try:
        return any(
            entry.startswith(f"{name}.") and entry.endswith(".so") for entry in os.listdir(above)
        )
    except OSError:
        return False


def hook_warnings(watch: WatchSettings, account: Account | None) -> Warnings:
    """The commands of hooks that are not there, or that the service may not run."""
    for name, command in watch.hooks.commands.items():
        program = command[0]
        program_path = shutil.which(program)
        if program_path is None:
            why = "is not executable" if os.path.exists(program) else "does not exist"
            yield ("hooks", name), f"{program} {why}"
        elif account is not None:
            (cure,) = denials(account, [(os.path.abspath(program_path), MAY_ENTER)])
            if cure:
                yield (
                    ("hooks", name),
                    f"{account.name} may not run {program_path}. {cure.rstrip('.')}",
                )
