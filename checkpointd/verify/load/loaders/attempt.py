"""What a loader is given and what it returns: a source, and an attempt to load it.

The function of a loader takes the `LoadSource`, the loader's row of `core.loader_specs`, and the
attempts of the loaders that were tried before, none of them final. It returns its `Attempt`, or
None where the source is another loader's, and raises `UserCodeError` where the user's code cannot
be used.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from checkpointd.verify import user_code
from checkpointd.verify.load import runtime
from checkpointd.verify.load.load_errors import classify
from checkpointd.verify.load.loaders import builders

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from checkpointd.core.check_result import CheckResult
    from checkpointd.core.format_specs import Format
    from checkpointd.core.loader_specs import LoaderSpec
    from checkpointd.core.verify_settings import VerifySettings
    from checkpointd.verify.keras_files.origin import Origin
    from checkpointd.verify.load.context import LoadContext
    from checkpointd.verify.load.loaded import Loaded
    from checkpointd.verify.load.loaders.builders import Built


@dataclass
class LoadSource:
    """A checkpoint that is to be loaded; what two loaders need of it is made once."""

    context: LoadContext
    path: str
    format: Format
    origin: Origin
    build_seconds: float = 0.0
    _built: Built | None = field(default=None, init=False)
    _custom_objects: dict[str, Any] | None = field(default=None, init=False)

    @property
    def settings(self) -> VerifySettings:
        """What the user configured."""
        return self.context.request.settings

    def import_user_code(self) -> None:
        """Import every module that the settings name something in.

        Raises:
            UserCodeError: one of them cannot be imported.
        """
        before = runtime.random_state()
        user_code.import_all(self.settings)
        self.context.seeded = self.context.seeded or runtime.random_state() != before

    def custom_objects(self) -> dict[str, Any]:
        """Return the custom objects that the settings name.

        Raises:
            UserCodeError: one of them cannot be imported.
        """
        if self._custom_objects is None:
            self._custom_objects = user_code.custom_objects(self.settings)
        return self._custom_objects

    def built(self, *, needs_keras: bool) -> Built:
        """Return what the user's builder makes; it is called the first time.

        Args:
            needs_keras: the loader takes Keras models alone.

        Raises:
            UserCodeError: the builder cannot be used.
        """
        if self._built is None:
            started = time.process_time()
            self._built = builders.build(
                self.settings, self.context.record, needs_keras=needs_keras
            )
            self.build_seconds = time.process_time() - started
        return self._built


@dataclass(frozen=True)
class Attempt:
    """What came of loading a source with one loader.

    `loaded` is the model, if there is one, and `result` that of the check if this attempt counts.
    `is_final`: it counts, and no other loader is tried; else the first attempt with a model
    counts. `errors` holds what was raised, by what was tried; `missing` the names of objects that
    nothing here resolves.
    """

    loader: LoaderSpec
    loaded: Loaded | None = None
    result: CheckResult | None = None
    errors: Mapping[str, Exception] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    is_final: bool = False


def errors_of(attempts: Sequence[Attempt]) -> dict[str, Exception]:
    """Return everything that was raised, by what was tried, in order."""
    return {name: error for attempt in attempts for name, error in attempt.errors.items()}


def explain(source: LoadSource, attempts: Sequence[Attempt]) -> CheckResult:
    """Explain why no loader takes a source, by the first error.

    Args:
        source: the checkpoint.
        attempts: what came of each loader.
    """
    errors = errors_of(attempts) or {"": ValueError("no loader takes it")}
    return classify(next(iter(errors.values())), None, tuple(source.settings.custom_objects))
