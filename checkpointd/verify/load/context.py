"""What the checks of the load side share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from checkpointd.core.format_specs import Format
from checkpointd.core.loader_specs import NOTHING_LOADED
from checkpointd.verify.suite import Context

if TYPE_CHECKING:
    from checkpointd.golden import Golden
    from checkpointd.verify.load.loaded import Loaded


@dataclass
class LoadContext(Context):
    """What the checks of the load side share.

    `seeded`: the user's code seeded the random generators, or drew from them, when it was imported.
    """

    loaded: Loaded | None = None
    record: Golden | None = None
    seeded: bool = False
    nothing_loaded: str = NOTHING_LOADED
    nothing_recorded: str = "There is no golden record: save through GoldenCheckpoint."

    @property
    def format(self) -> Format:
        """The checkpoint's format as the scan side found it, else as the request has it."""
        found = self.facts.format
        return self.request.checkpoint.format if found is Format.UNKNOWN else found
