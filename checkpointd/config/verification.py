"""What is wrong between the keys of one `[watch.verify]` that are right by themselves.

Read from the raw table, so that it is told together with what the schema finds.
"""

from __future__ import annotations

import difflib
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from checkpointd.config.features import amiss
from checkpointd.config.settings import direction
from checkpointd.core.checkpoint import CHECKS

if TYPE_CHECKING:
    from collections.abc import Iterator

    Told = Iterator[tuple[tuple[str | int, ...], str]]


def between(verify: dict[str, Any]) -> Told:
    """Yield the place below `[watch.verify]` and the sentence of each contradiction."""
    checks = verify.get("checks")
    own = [
        check.get("name") if isinstance(check, dict) else None
        for check in (checks if isinstance(checks, list) else [])
    ]
    yield from _own_names(own)
    named = [name for name in own if isinstance(name, str) and name]
    names = list(dict.fromkeys([*CHECKS, *named]))
    for key in ("fail_on", "skip"):
        given = verify.get(key)
        for i, name in enumerate(given if isinstance(given, list) else []):
            if isinstance(name, str) and name and name not in names:
                yield (key, i), f'is no check{_meant(name, names)}, got "{name}"'
    evaluate = verify.get("evaluate")
    if isinstance(evaluate, dict):
        for loc, message in amiss(evaluate):
            yield ("evaluate", *loc), message
    yield from _bounds(verify)


def _own_names(own: list[Any]) -> Told:
    for i, name in enumerate(own):
        if name in CHECKS:
            yield ("checks", i, "name"), f"{name!r} is a check of the suite: choose another name"
        elif isinstance(name, str) and name in own[:i]:
            yield ("checks", i, "name"), f"{name!r} is also the name of checks[{own.index(name)}]"


def _meant(name: str, names: list[str]) -> str:
    close = difflib.get_close_matches(name, names, n=1)
    did = f" (did you mean {close[0]!r}?)" if close else ""
    return f"; there are {', '.join(names)}{did}"


def _bounds(verify: dict[str, Any]) -> Told:
    bounds = verify.get("bounds")
    if not isinstance(bounds, dict) or not bounds:
        return
    if not verify.get("evaluate"):
        yield ("bounds",), "nothing gives these metrics: set evaluate"
    evaluate = verify.get("evaluate")
    named = evaluate.get("metrics") if isinstance(evaluate, dict) else None
    for metric, bound in bounds.items():
        if isinstance(named, list) and named and metric not in named:
            given = ", ".join(str(name) for name in named)
            yield ("bounds", metric), f"evaluate does not give {metric!r}, it gives {given}"
        if not isinstance(bound, dict) or "within_of_best" not in bound:
            continue
        asked = SimpleNamespace(**{key: bound.get(key) for key in ("mode", "min", "max")})
        if not direction(metric, asked):
            yield (
                ("bounds", metric, "within_of_best"),
                f'{metric!r} does not say by its name which way it is better: add mode = "max"',
            )
