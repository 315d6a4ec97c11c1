"""What leaves the daemon as JSON is JSON: a loss of NaN is null, never a word no parser knows."""

from __future__ import annotations

import asyncio
import json
import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from checkpointd.core.check_result import passed
from checkpointd.daemon import hook_command, published_content
from checkpointd.ledger import Entry, HookEvent, State
from tests.helpers.observe import report

if TYPE_CHECKING:
    from pathlib import Path


def strict(text: bytes) -> dict[str, Any]:
    """Read JSON as everybody else does."""

    def refuse(word: str) -> None:
        raise AssertionError(word)

    found: dict[str, Any] = json.loads(text, parse_constant=refuse)
    return found


def test_a_hook_is_given_strict_json(tmp_path: Path) -> None:
    """`jq` can read it, whatever a check counted."""
    received = tmp_path / "received"
    command = ("/bin/sh", "-c", f"cat > '{received}'")
    made = report(passed("drift", norm=math.inf, loss=math.nan)).to_public()
    event = HookEvent(1, "w", "on_verdict", "/w/a", made, queued_at=0.0)

    async def run() -> None:
        await hook_command.run_hook(command, event, 30.0)
        await hook_command.end_hooks()

    asyncio.run(run())
    details = strict(received.read_bytes())["checks"][0]["details"]
    assert details == {"norm": None, "loss": None}


def test_a_verdict_file_holds_strict_json() -> None:
    """Metrics of a training job that has gone astray are kept by name."""
    made = report()
    checkpoint = replace(made.checkpoint, metrics={"loss": math.nan, "accuracy": 0.5})
    entry = Entry(1, checkpoint, made.generation, State.VALID, made, 1.0, 2.0, pinned=False)
    metrics = strict(published_content.document(entry, made))["metrics"]
    assert metrics == {"loss": None, "accuracy": 0.5}
