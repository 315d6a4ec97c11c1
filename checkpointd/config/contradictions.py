"""Errors between keys of a config that are valid by themselves.

Read from the raw tables, so that they are reported together with what the schema finds, and not
after that is corrected.
"""

from __future__ import annotations

import difflib
from itertools import combinations
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from checkpointd.config.buckets import bucket_errors
from checkpointd.config.dispatch import dispatch_errors
from checkpointd.config.features import features_errors
from checkpointd.config.locate import absolute, default_state_dir
from checkpointd.config.replicate import replicate_errors
from checkpointd.config.same_place import places_of
from checkpointd.config.verify import direction
from checkpointd.core.suite import CHECKS
from checkpointd.core.urls import is_url, other_scheme

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from checkpointd.config.same_place import Place

    Loc = tuple[str | int, ...]
    Errors = Iterator[tuple[Loc, str]]


def contradictions(data: dict[str, Any], base: Path) -> Errors:
    """Yield the key and the message of each contradiction.

    Args:
        data: the raw config.
        base: the directory that relative paths are relative to.
    """
    watches = data.get("watch")
    tables = watches if isinstance(watches, list) else []
    roots = [
        (i, _text(watch, "name"), absolute(path, base) if (path := _directory(watch)) else None)
        for i, watch in enumerate(tables)
        if isinstance(watch, dict)
    ]
    yield from _root_errors(roots, _text(data.get("daemon"), "state_dir"), base)
    for i, watch in enumerate(tables):
        verify = watch.get("verify") if isinstance(watch, dict) else None
        if isinstance(verify, dict):
            for loc, message in verify_contradictions(verify):
                yield ("watch", i, "verify", *loc), message
    named = [(name, root) for _, name, root in roots if root]
    yield from _publish_errors(tables, base, named)
    yield from _trash_errors(tables, base, named)
    yield from bucket_errors(tables, data.get("dispatch"))
    yield from replicate_errors(tables)
    yield from dispatch_errors(data.get("dispatch"))


def _root_errors(
    roots: Sequence[tuple[int, str, Path | None]], state_dir: str, base: Path
) -> Errors:
    """Errors between the roots of watches, and between them and the state directory."""
    state = absolute(state_dir, base) if state_dir else default_state_dir(base)
    places = places_of([state, *(root for _, _, root in roots if root is not None)])
    for i, name, root in roots:
        if root == Path("/"):
            yield ("watch", i, "path"), "/ cannot be watched; name a directory"
        elif root is not None and (state.is_relative_to(root) or _contains(places, root, state)):
            loc: Loc = ("daemon", "state_dir") if state_dir else ("watch", i, "path")
            yield loc, f"the state directory {state} is inside watch {name!r}; put it elsewhere"
    for (i, name, root), (j, other_name, other) in combinations(roots, 2):
        if name and name == other_name:
            yield ("watch", j, "name"), f"{name!r} is also the name of watch[{i}]"
        if root is None or other is None or Path("/") in (root, other):
            continue
        if root.is_relative_to(other) or other.is_relative_to(root):
            yield ("watch", j, "path"), f"{other} overlaps with {root} of watch[{i}]"
        elif root in places and other in places and places[root].overlaps(places[other]):
            message = (
                f"{other} overlaps with {root} of watch[{i}]: by a link or a mount they lead to "
                "the same directory, or one is inside the other"
            )
            yield ("watch", j, "path"), message


def _contains(places: Mapping[Path, Place], directory: Path, path: Path) -> bool:
    return directory in places and path in places and places[directory].contains(places[path])


def _publish_errors(
    watches: Sequence[Any], base: Path, roots: Sequence[tuple[str, Path]]
) -> Errors:
    """Errors of the directories of `[watch.publish]`."""
    published = list(_published(watches, base))
    for (i, key, directory), (j, other_key, other_directory) in combinations(published, 2):
        if i == j and directory == other_directory:
            message = f"is also the directory of {key}; name another"
            yield ("watch", j, "publish", other_key), message
    for i, key, directory in published:
        for name, root in roots:
            if directory.is_relative_to(root) or root.is_relative_to(directory):
                message = (
                    f"{directory} is inside watch {name!r} or contains it; nothing is ever written "
                    "there, name a directory elsewhere"
                )
                yield ("watch", i, "publish", key), message


def _trash_errors(watches: Sequence[Any], base: Path, roots: Sequence[tuple[str, Path]]) -> Errors:
    """Errors of `trash_dir`: what is in a watch would be taken for its checkpoints."""
    for i, watch in enumerate(watches):
        path = _text(watch.get("retention") if isinstance(watch, dict) else None, "trash_dir")
        directory = absolute(path, base) if path else None
        places = places_of([directory, *(root for _, root in roots)]) if directory else {}
        for name, root in roots:
            if directory and (
                directory.is_relative_to(root)
                or root.is_relative_to(directory)
                or (
                    directory in places
                    and root in places
                    and places[directory].overlaps(places[root])
                )
            ):
                message = f"{directory} is inside watch {name!r} or contains it; name another"
                yield ("watch", i, "retention", "trash_dir"), message


def _published(watches: Sequence[Any], base: Path) -> Iterator[tuple[int, str, Path]]:
    """The directories that are to be written to: the watch's index, the key, the directory."""
    for i, watch in enumerate(watches):
        publish = watch.get("publish") if isinstance(watch, dict) else None
        for key in ("verdict_file", "latest_link"):
            if path := _text(publish, key):
                yield i, key, absolute(path, base) / _text(watch, "name")


def verify_contradictions(verify: dict[str, Any]) -> Errors:
    """Yield the key below `[watch.verify]` and the message of each contradiction in it."""
    checks = verify.get("checks")
    user_checks = [
        check.get("name") if isinstance(check, dict) else None
        for check in (checks if isinstance(checks, list) else [])
    ]
    yield from _name_errors(user_checks)
    names = [name for name in user_checks if isinstance(name, str) and name]
    known = list(dict.fromkeys([*CHECKS, *names]))
    for key in ("fail_on", "skip"):
        given = verify.get(key)
        for i, name in enumerate(given if isinstance(given, list) else []):
            if isinstance(name, str) and name and name not in known:
                yield (key, i), f'is not a check{_suggestion(name, known)}, got "{name}"'
    evaluate = verify.get("evaluate")
    if isinstance(evaluate, dict):
        for loc, message in features_errors(evaluate):
            yield ("evaluate", *loc), message
    yield from _bound_errors(verify)


def _name_errors(names: list[Any]) -> Errors:
    for i, name in enumerate(names):
        if name in CHECKS:
            yield ("checks", i, "name"), f"{name!r} is a built-in check: choose another name"
        elif isinstance(name, str) and name in names[:i]:
            yield ("checks", i, "name"), f"{name!r} is also the name of checks[{names.index(name)}]"


def _suggestion(name: str, names: list[str]) -> str:
    close = difflib.get_close_matches(name, names, n=1)
    did = f" (did you mean {close[0]!r}?)" if close else ""
    return f"; choose from {', '.join(names)}{did}"


def _bound_errors(verify: dict[str, Any]) -> Errors:
    bounds = verify.get("bounds")
    if not isinstance(bounds, dict) or not bounds:
        return
    if not verify.get("evaluate"):
        yield ("bounds",), "nothing computes these metrics: set evaluate"
    evaluate = verify.get("evaluate")
    computed = evaluate.get("metrics") if isinstance(evaluate, dict) else None
    for metric, bound in bounds.items():
        if isinstance(computed, list) and computed and metric not in computed:
            names = ", ".join(str(name) for name in computed)
            yield ("bounds", metric), f"evaluate does not compute {metric!r}, it computes {names}"
        if not isinstance(bound, dict) or "within_of_best" not in bound:
            continue
        limits = SimpleNamespace(**{key: bound.get(key) for key in ("mode", "min", "max")})
        if not direction(metric, limits):
            yield (
                ("bounds", metric, "within_of_best"),
                f'the name {metric!r} does not show which way is better: add mode = "max" or "min"',
            )


def _directory(watch: Any) -> str:
    path = _text(watch, "path")
    return "" if is_url(path) or other_scheme(path) else path


def _text(table: Any, key: str) -> str:
    value = table.get(key) if isinstance(table, dict) else None
    return value if isinstance(value, str) else ""
