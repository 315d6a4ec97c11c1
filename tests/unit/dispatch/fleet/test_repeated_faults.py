"""When a host of the fleet is said to be the cause of what goes wrong there."""

from __future__ import annotations

from checkpointd.core.checkpoint import Checkpoint, Generation, Member
from checkpointd.core.format_specs import Format
from checkpointd.core.request import Request
from checkpointd.core.verify_settings import VerifySettings
from checkpointd.dispatch.fleet.repeated_faults import OTHER_MOUNT, RepeatedFaults


def request(path: str, mtime: int = 1) -> Request:
    """What a host was asked to verify."""
    generation = Generation((Member("", 1, 2, 3, mtime, 5),))
    return Request(Checkpoint(path, Format.KERAS), generation, VerifySettings())


def test_three_in_a_row_are_another_mount_until_one_is_seen_there() -> None:
    """Different checkpoints, or the same one that nobody has changed."""
    for paths in (("/a", "/b", "/c"), ("/a", "/a", "/a")):
        found = RepeatedFaults(OTHER_MOUNT)
        for path in paths:
            assert not found.problems({"gpu1"})
            found.add("gpu1", request(path), f"{path} cannot be found.")
        [problem] = found.problems({"gpu1"})
        assert problem.startswith("gpu1 sees other files than this host does: mount")
        assert problem.endswith(f"The last one: {paths[-1]} cannot be found.")
        assert not found.problems({"gpu2"}), "gpu1 is no part of the fleet any more"
        found.clear("gpu1")
        assert not found.problems({"gpu1"})


def test_one_that_is_written_all_the_time_is_no_evidence() -> None:
    """It has changed on its way to the host."""
    found = RepeatedFaults(OTHER_MOUNT)
    for time in range(20):
        found.add("gpu1", request("/last.h5", time), "It has another size or time.")
    assert not found.problems({"gpu1"})
