"""The one-shot verification: finds the checkpoints that paths name, and verifies them here.

Every result is a public object (`Report.to_public()`); what has no report, because it is no
checkpoint or was never finished, gets one in the same shape.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from checkpointd.cli.workspace import absolute, aliases, below
from checkpointd.config import Locations
from checkpointd.core.check_result import failed, skipped
from checkpointd.core.checkpoint import Checkpoint, Generation
from checkpointd.core.encode import to_json
from checkpointd.core.format_specs import Format
from checkpointd.core.permissions import cure_of_denial
from checkpointd.core.request import End, Request
from checkpointd.core.suite import CHECKS
from checkpointd.core.urls import is_url
from checkpointd.core.verdict import Verdict
from checkpointd.core.verify_settings import VerifySettings
from checkpointd.formats import LOCAL, content

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Sequence

    from checkpointd.config import Config, WatchSettings
    from checkpointd.core.check_result import CheckResult
    from checkpointd.core.request import Answer
    from checkpointd.dispatch import Dispatcher

_ATTEMPTS = 3
_NONE_KNOWN = "it is neither a SavedModel, .keras, HDF5 nor a TensorFlow checkpoint"


@dataclass(frozen=True)
class Target:
    """One thing to verify; `problem` is set (a public object) when there is nothing to run."""

    path: str
    checkpoint: Checkpoint | None = None
    generation: Generation = Generation(())  # noqa: RUF009 - frozen
    settings: VerifySettings = VerifySettings()  # noqa: RUF009 - frozen
    problem: dict[str, Any] | None = None


@dataclass(frozen=True)
class VerifyTargets:
    """What the paths of a command line stand for; `missing` are those that are not there."""

    targets: tuple[Target, ...]
    missing: tuple[str, ...]
    empty: tuple[str, ...]


def find(paths: Sequence[str], config: Config | None) -> VerifyTargets:
    """Find the checkpoints that paths name, with the settings of the watches that contain them."""
    targets: dict[str, Target] = {}
    missing: list[str] = []
    empty: list[str] = []
    for typed in paths:
        path = absolute(typed)
        try:
            found = _find(*_in_watch(path, config), config)
        except FileNotFoundError:
            missing.append(path)
            continue
        except NotADirectoryError:
            found = [Target(path, problem=no_checkpoint(path))]
        except OSError as error:
            found = [Target(path, problem=_unreadable(path, error))]
        if not found:
            empty.append(path)
        targets.update((target.path, target) for target in found)
    return VerifyTargets(tuple(targets.values()), tuple(missing), tuple(empty))


def _find(path: str, watch: WatchSettings | None, config: Config | None) -> list[Target]:
    """Find what is at a path or below it.

    Args:
        path: as `watch` has it.
        watch: the one that contains the path; without one, there may still be watches below it.
        config: of these watches.
    """
    from checkpointd.buckets import storage_of
    from checkpointd.watch.scan import find_checkpoints

    root, templates = (str(watch.path), watch.version) if watch else ("", ())
    settings = watch.verify.to_settings() if watch else VerifySettings()
    targets: list[Target] = []

    def unreadable(directory: str, error: OSError) -> None:
        targets.append(Target(directory, problem=_unreadable(directory, error)))

    checkpoints = find_checkpoints(
        path, storage_of(path), root=root, templates=templates, unreadable=unreadable
    )
    for checkpoint, generation in checkpoints:
        name, inner = (path, watch) if watch else _in_watch(checkpoint.path, config)
        if inner is not watch:
            targets += _find_again(name, inner, config)
        elif checkpoint.format is Format.UNKNOWN:
            problem = no_checkpoint(checkpoint.path)
            targets.append(Target(checkpoint.path, problem=problem))
        else:
            targets.append(Target(checkpoint.path, checkpoint, generation, settings))
    return targets


def _find_again(path: str, watch: WatchSettings | None, config: Config | None) -> list[Target]:
    """Find a checkpoint again from its own watch, with that watch's settings and names."""
    try:
        return _find(path, watch, config)
    except OSError as error:
        return [Target(path, problem=_unreadable(path, error))]


def _in_watch(path: str, config: Config | None) -> tuple[str, WatchSettings | None]:
    """The watch that contains a path, also through a symlink, and the path as that watch has it."""
    if config is None:
        return path, None
    locations = Locations(config.state_dir, {watch.name: watch.path for watch in config.watch})
    for name in aliases(path, locations):
        for watch in config.watch:
            if below(name, (str(watch.path),)):
                return name, watch
    return path, None


async def verify_here(
    targets: Sequence[Target],
    dispatcher: Dispatcher,
    on_check: Callable[[Target, CheckResult], None],
    at_once: int,
) -> AsyncGenerator[dict[str, Any]]:
    """Verify in children of this process, several at once.

    Args:
        targets: what to verify.
        dispatcher: who does it.
        on_check: called with each check as it finishes.
        at_once: how many are copied from a bucket, or verified, at a time.

    Yields:
        The public object of each target, in order.
    """
    slots = asyncio.Semaphore(at_once)

    async def verify(target: Target) -> dict[str, Any]:
        async with slots:
            return await _verify(target, dispatcher, on_check)

    waiting = collections.deque(asyncio.ensure_future(verify(target)) for target in targets)
    try:
        while waiting:
            yield await waiting[0]
            waiting.popleft()
    finally:
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


async def _verify(
    target: Target,
    dispatcher: Dispatcher,
    on_check: Callable[[Target, CheckResult], None],
) -> dict[str, Any]:
    from checkpointd.buckets import storage_of
    from checkpointd.formats import generation_of

    checkpoint, generation = target.checkpoint, target.generation
    if checkpoint is None:
        return target.problem or no_checkpoint(target.path)
    not_copied: tuple[type[Exception], ...] = ()
    if is_url(checkpoint.path):
        from checkpointd.daemon.staging import StagingError

        not_copied = (StagingError,)
    for _ in range(_ATTEMPTS):
        request = Request(checkpoint, generation, target.settings, overdue=True)
        try:
            answer = await dispatcher.verify(request, lambda check: on_check(target, check))
        except not_copied as error:
            return _from_first_check(
                checkpoint, generation, failed("structure", "unreadable", str(error))
            )
        if answer.end is not End.SUPERSEDED:
            break
        with contextlib.suppress(OSError):
            place = storage_of(checkpoint.path)
            generation = generation_of(checkpoint.path, checkpoint.format, place)
    return public_answer(checkpoint, generation, answer)


def public_answer(checkpoint: Checkpoint, generation: Generation, answer: Answer) -> dict[str, Any]:
    """The public object of an answer, also where it has no report."""
    if answer.report is not None:
        return answer.report.to_public()
    if answer.end is End.UNKNOWN:
        return no_checkpoint(checkpoint.path, answer.message)
    if answer.end is End.INCOMPLETE:
        message = answer.message or "The save was never finished."
        return _from_first_check(checkpoint, generation, failed("structure", "truncated", message))
    message = answer.message or "It was written over while it was read; verify it again."
    public = _from_first_check(checkpoint, generation, skipped("structure", message))
    return {**public, "verdict": str(Verdict.INCONCLUSIVE), "reason": "", "message": message}


def no_checkpoint(path: str, message: str = "") -> dict[str, Any]:
    """The public object of something that is no checkpoint: it has no verdict."""
    why = f"{message[:1].lower()}{message[1:].rstrip('.')}" if message else _description(path)
    public = _from_first_check(
        Checkpoint(path, Format.UNKNOWN), Generation(()), skipped("structure", "")
    )
    return {**public, "verdict": None, "message": f"is no checkpoint: {why}.", "checks": []}


def _description(path: str) -> str:
    """What a file that is no checkpoint seems to be, judging by its first bytes."""
    description = ""
    with contextlib.suppress(OSError):
        description = content.of_file(path, LOCAL).description if os.path.isfile(path) else ""
    return f"it is {description}" if description else _NONE_KNOWN


def _unreadable(path: str, error: OSError) -> dict[str, Any]:
    denied = isinstance(error, PermissionError)
    cure = f" {cure_of_denial(os.fsdecode(error.filename or path))}" if denied else ""
    result = failed("structure", "unreadable", f"{error.strerror or error}.{cure}")
    return _from_first_check(Checkpoint(path, Format.UNKNOWN), Generation(()), result)


def _from_first_check(
    checkpoint: Checkpoint, generation: Generation, first: CheckResult
) -> dict[str, Any]:
    """The public object of a report of which only the first check has run."""
    not_run = (skipped(name, "Not run, because structure did not pass.") for name in CHECKS[1:])
    verdict = Verdict.INVALID if first.outcome.value == "fail" else Verdict.INCONCLUSIVE
    return {
        "path": checkpoint.path,
        "format": str(checkpoint.format),
        "series": checkpoint.series,
        "step": checkpoint.step,
        "size_bytes": generation.size_bytes,
        "verdict": str(verdict),
        "reason": first.reason,
        "message": first.message,
        "shown": [],
        "checks": [to_json(check) for check in (first, *not_run)],
        "duration_seconds": 0.0,
        "environment": {},
    }
