"""The hooks of one watch, for the status."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class HookStatus:
    """The queue of hooks of one watch; `failure` is what the last one failed of, if it did."""

    watch: str = "?"
    events: tuple[str, ...] = ()
    pending: int = 0
    given_up: int = 0
    failure: str = ""
