"""Children that lie, cling and litter: one dispatcher outlives them all, and believes none.

They run as the user's own code in a load child, where lies are cheapest. What the sandbox forbids
such a child (a fork) it tries all the same: with or without it, the next checkpoint is verified.
"""

from __future__ import annotations

import asyncio
import textwrap
import time
from typing import TYPE_CHECKING

import numpy as np
import pytest

from checkpointd.config import WorkerSettings
from checkpointd.core.check_result import Outcome
from checkpointd.core.verdict import Verdict
from checkpointd.dispatch import child_result
from checkpointd.dispatch.local import LocalDispatcher
from tests.helpers.children import only_zygotes_are_left
from tests.helpers.scan import request_for, write_weights

if TYPE_CHECKING:
    from pathlib import Path

    from checkpointd.core.report import Report
    from checkpointd.core.request import Request

LIARS = """
    import json, os, signal, sys, threading, time

    CHECKS = ("load", "signatures", "inference", "predictions", "resume")

    def good():
        import keras
        return keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(3)])

    def sockets():
        for fd in range(3, 256):
            try:
                if os.readlink(f"/proc/self/fd/{fd}").startswith("socket:"):
                    yield fd
            except OSError:
                pass

    def send(*messages):
        for fd in sockets():
            for message in messages:
                data = message if isinstance(message, bytes) else json.dumps(message).encode()
                os.write(fd, data + b"\\n")

    def passes(name, **more):
        check = {"name": name, "outcome": "pass", "reason": "", "message": "",
                 "duration_seconds": 0, "details": {}}
        return {"check": {**check, **more}}

    def facts():
        for frame in sys._current_frames().values():
            while frame is not None:
                if "facts" in frame.f_locals and "emit" in frame.f_locals:
                    from checkpointd.core.encode import to_json
                    return to_json(frame.f_locals["facts"])
                frame = frame.f_back
        raise LookupError

    def claims_all():
        lies = {**facts(), "digest": "00", "weight_norm": 0.5, "parameter_count": 1,
                "non_finite_values": 0, "tensor_count": 1, "metrics": {"loss": 0.0}, "step": 99,
                "environment": {"tensorflow": "99"}, "format": "keras"}
        send(*(passes(name) for name in CHECKS), {"end": "done", "message": "", "facts": lies})
        os._exit(0)

    def claims_to_be_superseded():
        send({"end": "unknown", "message": "", "facts": facts()})
        time.sleep(1000)

    def answers_for_the_scan():
        send(passes("finite"))
        time.sleep(1000)

    def ends_too_soon():
        send(passes("load"), {"end": "done", "message": "", "facts": facts()})
        os._exit(0)

    def takes_for_ever():
        send(passes("load", duration_seconds=1e300))
        time.sleep(1000)

    def nests():
        send(b"[" * 1000000)
        time.sleep(1000)

    def huge_number():
        send(b'{"check": 1' + b"0" * 4000 + b"}")
        time.sleep(1000)

    def closes_and_lives():
        for fd in sockets():
            os.close(fd)
        time.sleep(1000)

    def litters():
        for _ in range(20):
            try:
                if os.fork() == 0:
                    time.sleep(6)
                    os._exit(0)
            except OSError:
                pass
        return good()

    def clings():
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        threading.Thread(target=time.sleep, args=(1000,)).start()
        return good()

    def passes_descriptors():
        import array, socket
        for fd in sockets():
            try:
                stream = socket.socket(fileno=os.dup(fd))
                many = array.array("i", [0] * 100)
                rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, many)
                stream.sendmsg([b" "], [rights])
            except OSError:
                pass
        return good()
"""
GOOD = ("litters", "clings", "passes_descriptors")
LIES = {
    "claims_to_be_superseded": "load.environment",
    "answers_for_the_scan": "load.environment",
    "ends_too_soon": "signatures.environment",
    "takes_for_ever": "load.environment",
    "nests": "load.environment",
    "huge_number": "load.environment",
    "closes_and_lives": "load.environment",
    **dict.fromkeys(GOOD, ""),
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of a small model, the same with a NaN, and the liars' code."""
    directory = tmp_path_factory.mktemp("liars")
    (directory / "liars.py").write_text(textwrap.dedent(LIARS))
    for name, value in (("good", 1.0), ("nan", np.nan)):
        kernel = np.full((4, 3), value, "float32")
        weights = {"dense": kernel}
        write_weights(directory / f"{name}.weights.h5", weights)
        import h5py

        with h5py.File(directory / f"{name}.weights.h5", "r+") as file:
            file["layers/dense/vars"].create_dataset("1", data=np.zeros(3, "float32"))
    return directory


def asked(home: Path, builder: str, name: str = "good") -> Request:
    """A request to verify weights through one of the liars."""
    path = home / f"{name}.weights.h5"
    return request_for(path, builder=f"liars:{builder}", python_path=(str(home),))


def reports(requests: list[Request], scratch: Path) -> list[Report]:
    """Verify one after the other with one dispatcher that never ends a load by its clock."""

    async def work() -> list[Report]:
        dispatcher = LocalDispatcher(WorkerSettings(timeout=100.0, spares=0), scratch)
        found = []
        try:
            for request in requests:
                answer = await dispatcher.verify(request)
                assert answer.report is not None, (request, answer)
                found.append(answer.report)
            await only_zygotes_are_left(dispatcher)
        finally:
            await dispatcher.close()
        return found

    return asyncio.run(work())


def test_every_forged_answer_is_noticed_and_the_next_checkpoint_is_verified(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By one and the same daemon, which waits for no time-out."""
    monkeypatch.setattr(child_result, "_EXIT_SECONDS", 3.0)
    builders = [name for liar in LIES for name in (liar, "good")]
    started = time.monotonic()
    found = reports([asked(home, name) for name in builders], tmp_path)
    assert time.monotonic() - started < 90
    for builder, report in zip(builders, found, strict=True):
        if LIES.get(builder):
            said = (report.verdict, report.reason)
            assert said == (Verdict.INCONCLUSIVE, LIES[builder]), (builder, report.message)
        else:
            assert report.verdict is Verdict.VALID, (builder, report.message)


def test_forged_passes_change_nothing_that_the_scan_found(home: Path, tmp_path: Path) -> None:
    """For the checks of its own stage it cannot be caught; NaN stays NaN, facts stay facts."""
    honest, claimed, nan = reports(
        [asked(home, "good"), asked(home, "claims_all"), asked(home, "claims_all", "nan")], tmp_path
    )
    assert claimed.verdict is Verdict.VALID
    for name in ("format", "digest", "weight_norm", "parameter_count", "tensor_count", "step"):
        assert getattr(claimed.facts, name) == getattr(honest.facts, name), name
    assert (claimed.checkpoint.step, dict(claimed.checkpoint.metrics)) == (None, {})
    assert claimed.facts.environment == honest.facts.environment
    assert (nan.verdict, nan.reason) == (Verdict.INVALID, "finite.nan")
    assert nan.facts.non_finite_values > 0
    outcomes = {check.name: check.outcome for check in nan.checks}
    assert outcomes["load"] is Outcome.PASS
