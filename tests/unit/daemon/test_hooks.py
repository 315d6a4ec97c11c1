"""The user's command that receives each verdict."""

from __future__ import annotations

import asyncio

import structlog

from checkpointd.daemon.hooks import HookRunner, run_hook
from tests.helpers.observe import report


def test_a_hook_that_fails_is_logged_with_the_checkpoint() -> None:
    """So that the report can be found that it did not take."""
    made = report()
    with structlog.testing.capture_logs() as logged:
        asyncio.run(run_hook(("/bin/sh", "-c", "echo no route >&2; exit 3"), made))
        asyncio.run(run_hook(("/nothing/there",), made))
    assert [(line["event"], line["path"]) for line in logged] == [
        ("hook failed", made.checkpoint.path),
        ("hook cannot be started", made.checkpoint.path),
    ]
    assert (logged[0]["code"], logged[0]["stderr"]) == (3, "no route")


def test_the_last_failure_stays_until_a_hook_succeeds() -> None:
    """It is counted each time, and the sentence says what to do."""
    counted = list[str]()
    hooks = HookRunner(lambda *labels: counted.append(" ".join(labels)))
    made = report()
    watch = made.checkpoint.watch
    for command in (("/nothing/there",), ("/bin/sh", "-c", "echo no route >&2; exit 3")):
        asyncio.run(hooks.run(command, made))
    assert hooks.failures == {
        watch: f"Watch {watch}: the hook /bin/sh failed: it ended with 3, 'no route'. Correct it, "
        "or take it out of `on_verdict`."
    }
    asyncio.run(hooks.run(("/bin/true",), made))
    assert counted == [f"{watch} on_verdict {outcome}" for outcome in ("failed", "failed", "ok")]
    assert hooks.failures == {}
