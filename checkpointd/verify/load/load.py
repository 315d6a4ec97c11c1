"""The check `load`: the checkpoint comes back as a model, by the loader that its writer's job uses.

`loaders.table` holds the loaders of each format and the order in which they are tried.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from checkpointd.core.check_result import CheckResult, failed, skipped
from checkpointd.core.format_specs import Format
from checkpointd.formats import FormatError
from checkpointd.verify import user_code
from checkpointd.verify.keras_files.origin import read_origin
from checkpointd.verify.load import runtime, unsaved_state
from checkpointd.verify.load.loaders import attempt, table
from checkpointd.verify.load.loaders.attempt import Attempt, Source
from checkpointd.verify.user_code import UserCodeError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from checkpointd.verify.load.context import LoadContext
    from checkpointd.verify.load.loaders.table import LoaderSpec

for _row in table.LOADERS:  # once for all checkpoints: a child is forked with them imported
    _row.import_module()

_NO_BUILDER = "Weights only: nothing to load it into; name a builder in [watch.verify]."


def check(context: LoadContext) -> CheckResult:
    """Load the checkpoint; a weights-only one into what the user's builder returns."""
    request = context.request
    path, checkpoint_format = request.checkpoint.path, context.facts.format
    if checkpoint_format is Format.UNKNOWN:
        checkpoint_format = request.checkpoint.format
    rows = table.for_format(checkpoint_format)
    if not rows:
        return failed("load", "load_error", "It cannot be loaded: its format is not known.")
    if not request.settings.builder and all(row.needs_builder for row in rows):
        context.nothing_loaded = _NO_BUILDER
        return skipped("load", _NO_BUILDER)
    user_code.use_python_path(request.settings)
    try:
        origin = read_origin(path, checkpoint_format)
        loaders = table.in_order(rows, origin.generation, runtime.installed())
        if not loaders:
            raise ImportError(runtime.NO_KERAS)
        result = _load(Source(context, path, checkpoint_format, origin), loaders)
        return unsaved_state.check(context) or result
    except UserCodeError as error:
        return failed("load", "environment", str(error))
    except FormatError as error:  # `structure` reports it first, unless it is switched off
        return failed("load", "load_error", f"It cannot be loaded: {error}")


def _load(source: Source, loaders: Sequence[LoaderSpec]) -> CheckResult:
    """Try loaders in order, until one of them has the final answer."""
    attempts: list[Attempt] = []
    for spec in loaders:
        made = spec.import_module().load(source, spec, attempts)
        if made is None:
            continue
        attempts.append(made)
        if made.is_final:
            break
    final = [made for made in attempts if made.is_final]
    chosen = next((made for made in (*final, *attempts) if made.result is not None), None)
    if chosen is None or chosen.result is None:
        explain = getattr(loaders[0].import_module(), "explain", attempt.explain)
        explained: CheckResult = explain(source, attempts)
        return explained
    source.context.loaded = chosen.loaded
    return chosen.result
