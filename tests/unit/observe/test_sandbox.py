"""The sandbox in the status: the worst that any worker found."""

from __future__ import annotations

import pytest

from checkpointd.observe.sandbox import SandboxStatus, WorkerSandbox

WHOLE = WorkerSandbox(7, seccomp=True)
LACKING = WorkerSandbox(0, seccomp=True, missing=("Landlock is switched off",))
FAILED = WorkerSandbox(7, seccomp=True, missing=("the self-test failed: x",))


@pytest.mark.parametrize(
    ("workers", "line", "in_force", "grave"),
    [
        ([], "enforce, tried as soon as a worker has started", {}, False),
        ([None], "enforce, tried as soon as a worker has started", {}, False),
        (
            [WHOLE, WHOLE],
            "enforce: Landlock version 7, seccomp, self-test passed",
            {"landlock": True, "seccomp": True},
            False,
        ),
        (
            [WHOLE, LACKING],
            "enforce: no Landlock, seccomp, self-test not run: Landlock is switched off",
            {"landlock": False, "seccomp": True},
            True,
        ),
        (
            [FAILED],
            "enforce: Landlock version 7, seccomp, self-test failed: the self-test failed: x",
            {"landlock": True, "seccomp": True},
            True,
        ),
    ],
)
def test_status_shows_in_one_line_what_is_in_force(
    workers: list[WorkerSandbox | None], line: str, in_force: dict[str, bool], grave: bool
) -> None:
    """What is missing is also a problem that a person has to know of."""
    status = SandboxStatus.of("enforce", workers)
    assert status.line == line
    assert status.layers == in_force
    assert status.problem.startswith("Nothing is loaded" if grave else "")
    assert bool(status.problem) is grave


def test_what_no_worker_has_tried_is_left_out_of_the_json() -> None:
    """A reader of the API sees that nothing is known, not that nothing is in force."""
    assert SandboxStatus.of("enforce", [None]).to_public() == {"mode": "enforce"}
    assert SandboxStatus.of("warn", [LACKING]).to_public() == {
        "mode": "warn",
        "landlock": 0,
        "seccomp": True,
        "self_test": "not run",
        "missing": ["Landlock is switched off"],
    }
