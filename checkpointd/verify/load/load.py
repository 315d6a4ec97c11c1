"""The check `load`: the checkpoint comes back as a model, by the loader that its writer's job uses.

`core.loader_specs` holds the loaders of each format and the order in which they are tried.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from checkpointd.core.check_result import CheckResult, failed, skipped
from checkpointd.core.format_specs import Format, function
from checkpointd.core.loader_specs import (
    LOADERS,
    LoaderSpec,
    in_order,
    loaders_of,
    why_nothing_loads,
)
from checkpointd.formats import FormatError
from checkpointd.verify import user_code
from checkpointd.verify.keras_files.origin import read_origin
from checkpointd.verify.load import runtime, unsaved_state
from checkpointd.verify.load.loaders.attempt import Attempt, LoadSource
from checkpointd.verify.user_code import UserCodeError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from checkpointd.verify.load.context import LoadContext

for _spec in LOADERS:  # once for all checkpoints: a child is forked with them imported
    function(_spec.load)


def check(context: LoadContext) -> CheckResult:
    """Load the checkpoint; a weights-only one into what the user's builder returns."""
    request = context.request
    path = request.checkpoint.path
    if context.format is Format.UNKNOWN:  # `structure` reports it first
        return failed("load", "load_error", "It cannot be loaded: its format is not known.")
    why = why_nothing_loads(context.format, request.settings.builder)
    if why:
        context.nothing_loaded = why
        return skipped("load", why)
    user_code.use_python_path(request.settings)
    try:
        origin = read_origin(path, context.format)
        loaders = in_order(loaders_of(context.format), origin.generation, runtime.installed())
        if not loaders:
            raise ImportError(runtime.NO_KERAS)
        result = _load(LoadSource(context, path, context.format, origin), loaders)
        context.wait_for_scan()
        return unsaved_state.check(context) or result
    except UserCodeError as error:
        return failed("load", "environment", str(error))
    except FormatError as error:  # `structure` reports it first, unless it is switched off
        return failed("load", "load_error", f"It cannot be loaded: {error}")


def _load(source: LoadSource, loaders: Sequence[LoaderSpec]) -> CheckResult:
    """Try loaders in order, until one of them has the final answer."""
    attempts: list[Attempt] = []
    for spec in loaders:
        made: Attempt | None = function(spec.load)(source, spec, attempts)
        if made is None:
            continue
        attempts.append(made)
        if made.is_final:
            break
    final = [made for made in attempts if made.is_final]
    chosen = next((made for made in (*final, *attempts) if made.result is not None), None)
    if chosen is None or chosen.result is None:
        explained: CheckResult = function(loaders[0].explain)(source, attempts)
        return explained
    source.context.loaded = chosen.loaded
    return chosen.result
