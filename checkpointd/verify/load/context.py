"""What the checks of the load side share."""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Callable

from checkpointd.core.format_specs import Format
from checkpointd.core.loader_specs import NOTHING_LOADED
from checkpointd.verify.suite import Context

if TYPE_CHECKING:
    from checkpointd.core.report import Facts
    from checkpointd.golden import Golden
    from checkpointd.verify.load.loaded import Loaded


@dataclass
class LoadContext(Context):
    """What the checks of the load side share.

    `pending` waits for the facts that the scan ends with; None once they are known. Until then
    `facts` are those of before the weights were read: no tensors are known.
    `seeded`: the user's code seeded the random generators, or drew from them, when it was imported.
    """

    pending: Callable[[], Facts] | None = None
    loaded: Loaded | None = None
    record: Golden | None = None
    seeded: bool = False
    nothing_loaded: str = NOTHING_LOADED
    nothing_recorded: str = "There is no golden record: save through GoldenCheckpoint."

    def wait_for_scan(self) -> None:
        """Wait for the facts that the scan ends with."""
        if self.pending is None:
            return
        began = time.perf_counter()
        scanned = self.pending()
        self.pending = None
        self.facts = dataclasses.replace(scanned, environment=self.facts.environment)
        self.waited += time.perf_counter() - began

    @property
    def format(self) -> Format:
        """The checkpoint's format as the scan side found it, else as the request has it."""
        from_scan = self.facts.format
        return self.request.checkpoint.format if from_scan is Format.UNKNOWN else from_scan
