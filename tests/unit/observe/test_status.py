"""The status as facts, and as the JSON object that programs read."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checkpointd.observe.sandbox import SandboxStatus, WorkerSandbox
from checkpointd.observe.status import (
    DaemonStatus,
    HoldStatus,
    QueueStatus,
    VerdictStatus,
    WatchStatus,
    WorkerStatus,
)
from tests.helpers.observe import ODD

STARTED = WorkerStatus(
    "scan", "", True, 7, 1, True, {"numpy": "2.0"}, WorkerSandbox(7, seccomp=True), "", 5
)
FAILED = WorkerStatus("load", "/opt/python", message="There is no such interpreter.")
STATUS = DaemonStatus(
    version="1",
    pid=4,
    healthy=True,
    problems=("x",),
    watches=(
        WatchStatus("w", ODD, counts={"valid": 3, "invalid": 1}, holds=(HoldStatus("s", "r"),)),
        WatchStatus("v", counts={"valid": 2}, trash_bytes=9),
    ),
    queue=QueueStatus(2, 1.5),
    verifying=("/a",),
    workers=(STARTED, FAILED),
    sandbox=SandboxStatus.of("enforce", [STARTED.sandbox]),
    last_verdicts=(VerdictStatus(1, ODD, "w", "valid", at=2.0),),
)


def test_what_the_api_sends_is_read_back_as_it_was() -> None:
    """The CLI prints the same facts as the page, whatever the names in them are."""
    assert DaemonStatus.from_public(json.loads(json.dumps(STATUS.to_public()))) == STATUS


def test_programs_find_the_keys_that_they_know() -> None:
    """A key that is renamed or dropped breaks somebody's script."""
    public = STATUS.to_public()
    assert " ".join(public) == (
        "version pid started_at config_path config_loaded_at config_error state_dir healthy ready "
        "problems problem_counts watches queue verifying workers engine sandbox last_verdicts "
        "attention hooks web web_access last_scrape_at"
    )
    assert " ".join(public["watches"][0]) == (
        "name path method up ready message mode counts unknown last_reconcile_at "
        "reconcile_seconds filesystem_avail_bytes retained_bytes trash_bytes vault_bytes "
        "trash_reserve_bytes holds plan filesystem replication"
    )
    assert " ".join(public["workers"][0]) == (
        "kind python up pid busy forks environment sandbox message memory_bytes spares"
    )
    assert " ".join(public["last_verdicts"][0]) == "id path watch verdict reason message at"
    assert " ".join(public["watches"][0]["filesystem"]) == (
        "device size_bytes full_at observed_seconds next_saves_fit"
    )
    assert " ".join(public["queue"]) == "length oldest_at resting_until"
    assert " ".join(public["web_access"]) == (
        "tls client_certificates basic_auth certificate_not_after"
    )


def test_a_worker_that_was_not_started_has_no_keys_of_a_process() -> None:
    """Its environment is not empty but unknown."""
    started, failed = STATUS.to_public()["workers"]
    assert set(started) - set(failed) == {"forks", "environment", "sandbox"}
    assert started["sandbox"] == {"landlock": 7, "seccomp": True, "missing": []}


def test_the_line_for_systemd_counts_over_all_watches() -> None:
    """Valid, invalid, inconclusive, and what is not done yet."""
    assert STATUS.line == "5 valid, 1 invalid, 0 inconclusive, 3 waiting"
    failed = DaemonStatus(config_error="line 3")
    assert failed.line.endswith("0 waiting, last reload failed, the old config stays")


@pytest.mark.parametrize(
    "public",
    [
        None,
        [],
        {"watches": [{}], "last_verdicts": [{}], "workers": [{}]},
        {"watches": 7, "queue": [], "pid": "x", "problems": [1], "sandbox": "enforce"},
        {"queue": {"length": True, "oldest_at": "now"}, "new_in_another_version": {}},
    ],
)
def test_the_status_of_another_version_is_read_as_far_as_it_goes(public: Any) -> None:
    """A key that is missing or holds something else has its default."""
    status = DaemonStatus.from_public(public)
    assert (status.pid, status.queue) == (0, QueueStatus())


@given(
    st.dictionaries(
        st.sampled_from(sorted(STATUS.to_public())),
        st.recursive(
            st.none() | st.booleans() | st.floats() | st.text(),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
            max_leaves=5,
        ),
    )
)
def test_no_object_makes_reading_fail(public: dict[str, Any]) -> None:
    """Whatever answers on the socket."""
    DaemonStatus.from_public(public).to_public()
