"""A real scheduler and three real workers, with mTLS: whatever happens to them, one verdict each.

One scheduler and its workers serve all tests; what a test kills is there again for the next one.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import signal
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from checkpointd import config as configuration
from checkpointd.core.checkpoint import Checkpoint
from checkpointd.core.format_specs import Format
from checkpointd.core.request import Answer, End, Request
from checkpointd.core.suite import LOAD_CHECKS
from checkpointd.core.verdict import Verdict
from checkpointd.core.verify_settings import UserCheck, VerifySettings
from checkpointd.dispatch.fleet import dispatcher as module
from checkpointd.dispatch.fleet.dispatcher import FleetDispatcher
from checkpointd.formats import generation_of
from tests.helpers.bundles import bundle
from tests.helpers.cli import checkpointd
from tests.helpers.daemon import SCANNING, daemon_in, eventually
from tests.helpers.fleet import Fleet, fleet_in, verdict_of
from tests.helpers.tls import needs_openssl, pair

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from tests.helpers.fleet import FleetWorker

pytestmark = [needs_openssl, pytest.mark.slow(35), pytest.mark.timeout(240)]

WORKERS = 3
MANY = 24
SLOW = """
import os, time

def sleeps(context):
    print("begun", flush=True)
    time.sleep(600)

def counts(context):
    time.sleep(5)
    return None
"""


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """The cluster; its workers run at the start of each test."""
    with fleet_in(tmp_path_factory.mktemp("fleet"), WORKERS) as made:
        (made.home / "slow.py").write_text(SLOW)
        yield made


@pytest.fixture(autouse=True)
def _mended(fleet: Fleet) -> None:
    """Start what the test before has killed."""
    for worker in fleet.workers:
        if worker.process is not None and worker.process.poll() is not None:
            (worker.home / "worker.log").unlink()
            worker.start()
    fleet.connected()


@contextlib.asynccontextmanager
async def dispatching(fleet: Fleet, home: Path) -> AsyncIterator[FleetDispatcher]:
    """A daemon's dispatcher, which knows all workers."""
    (home / "config.toml").write_text(f'[daemon]\nstate_dir = "state"\n{fleet.config}')
    config = configuration.load(home / "config.toml")
    made = FleetDispatcher(config.dispatch, config.worker, home / "state/scratch")
    made.start()
    try:
        await until("all workers to be known", lambda: made.engine()["workers"] == WORKERS)
        yield made
    finally:
        await made.close()


async def until(what: str, condition: object, seconds: float = 120.0) -> None:
    """Wait, while the dispatcher works."""
    assert callable(condition)
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        await asyncio.sleep(0.05)


def request_for(home: Path, name: str, check: str = "") -> Request:
    """A request to read a checkpoint of two small tensors; `check` is a function of `slow.py`."""
    path = home / name
    if not (home / f"{name}.index").exists():
        bundle(path, [b"a", b"b"])
    user = (UserCheck("user", f"slow:{check}", "scan"),) if check else ()
    settings = VerifySettings(skip=LOAD_CHECKS, checks=user, python_path=(str(home),))
    generation = generation_of(str(path), Format.TF_CHECKPOINT)
    return Request(Checkpoint(str(path), Format.TF_CHECKPOINT), generation, settings)


async def busy_worker(fleet: Fleet, dispatcher: FleetDispatcher) -> FleetWorker:
    """Wait until a worker runs a child for the only request, and return it."""
    found: list[FleetWorker] = []

    def runs() -> bool:
        for attempt in dispatcher._attempts.values():
            worker = fleet.worker_of(attempt.member.id)
            if worker is not None and any(_is_child(one) for one in worker.children()):
                found[:] = [worker]
                return True
        return False

    await until("a worker to run a child", runs)
    return found[0]


def _runs(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    return False


def _is_lost(dispatcher: FleetDispatcher, worker: str) -> bool:
    """Whether the dispatcher waits for this worker no more."""
    return all(attempt.member.id != worker for attempt in dispatcher._attempts.values())


def _is_child(process: psutil.Process) -> bool:
    """Whether a zygote has forked it to verify something, some time ago."""
    with contextlib.suppress(psutil.NoSuchProcess):
        parent = process.parent()
        is_forked = parent is not None and parent.cmdline() == process.cmdline()
        return is_forked and time.time() - process.create_time() > 0.1
    return False


def test_every_checkpoint_gets_one_verdict_although_a_worker_is_killed_midway(
    fleet: Fleet, tmp_path: Path
) -> None:
    """What it had is verified by another worker; none of its processes is left.

    They have the lowest priority also to end: within 2 s where the machine has time for them.
    """
    (tmp_path / "slow.py").write_text(SLOW)

    async def work() -> list[Answer]:
        async with dispatching(fleet, tmp_path) as dispatcher:
            slow = asyncio.ensure_future(
                dispatcher.verify(request_for(tmp_path, "ckpt-0", "counts"))
            )
            victim = await busy_worker(fleet, dispatcher)
            many = [
                asyncio.ensure_future(dispatcher.verify(request_for(tmp_path, f"ckpt-{i}")))
                for i in range(1, MANY)
            ]
            children = victim.children()
            assert children
            victim.kill()
            await until("its processes to end", lambda: not any(map(_runs, children)), 20.0)
            return await asyncio.gather(slow, *many)

    answers = asyncio.run(work())
    assert len(answers) == MANY
    assert {verdict_of(answer) for answer in answers} == {(Verdict.VALID, "")}
    assert answers[0].report is not None
    assert answers[0].report.generation == request_for(tmp_path, "ckpt-0").generation


def test_a_checkpoint_that_kills_two_workers_is_inconclusive_and_kills_no_third(
    fleet: Fleet, tmp_path: Path
) -> None:
    """Nobody knows more about it: the reason says what to do."""
    (tmp_path / "slow.py").write_text(SLOW)

    async def work() -> tuple[Answer, set[int]]:
        async with dispatching(fleet, tmp_path) as dispatcher:
            request = request_for(tmp_path, "ckpt-1", "sleeps")
            verifying = asyncio.ensure_future(dispatcher.verify(request))
            killed: set[int] = set()
            for _ in range(2):
                victim = await busy_worker(fleet, dispatcher)
                killed.add(victim.pid)
                victim.kill()
                await until("the loss to be noticed", partial(_is_lost, dispatcher, victim.id))
            return await verifying, killed

    answer, killed = asyncio.run(work())
    assert verdict_of(answer) == (Verdict.INCONCLUSIVE, "structure.workers_lost")
    assert len(killed) == 2
    running = [one for one in fleet.workers if one.process and one.process.poll() is None]
    assert len(running) == WORKERS - 2


def test_a_worker_that_is_stopped_in_order_gives_its_checkpoint_back(
    fleet: Fleet, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is verified elsewhere, and nothing counts as lost."""
    (tmp_path / "slow.py").write_text(SLOW)

    async def work() -> Answer:
        async with dispatching(fleet, tmp_path) as dispatcher:
            request = request_for(tmp_path, "ckpt-1", "counts")
            verifying = asyncio.ensure_future(dispatcher.verify(request))
            stopped = await busy_worker(fleet, dispatcher)
            stopped.kill(signal.SIGTERM)
            assert stopped.process is not None
            assert stopped.process.returncode == 0
            return await verifying

    assert verdict_of(asyncio.run(work()))[0] is Verdict.VALID
    assert "It was stopped in order." in capsys.readouterr().out


def test_a_worker_that_stops_loses_its_checkpoint_and_its_late_answer_is_dropped(
    fleet: Fleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another worker verifies it; the first one goes on and its answer reaches nobody."""
    monkeypatch.setattr(module, "_SILENT_SECONDS", 4.0)
    (tmp_path / "slow.py").write_text(SLOW)

    async def work() -> Answer:
        async with dispatching(fleet, tmp_path) as dispatcher:
            request = request_for(tmp_path, "ckpt-1", "counts")
            verifying = asyncio.ensure_future(dispatcher.verify(request))
            stopped = await busy_worker(fleet, dispatcher)
            stopped.kill(signal.SIGSTOP)
            try:
                answer = await verifying
            finally:
                stopped.kill(signal.SIGCONT)
            await until("it to be back", lambda: dispatcher.engine()["workers"] == WORKERS)
            again = await dispatcher.verify(request_for(tmp_path, "ckpt-2"))
            assert verdict_of(again)[0] is Verdict.VALID
            assert not dispatcher._attempts
            return answer

    assert verdict_of(asyncio.run(work()))[0] is Verdict.VALID


def test_work_waits_while_the_scheduler_is_down_and_goes_on_when_it_is_back(
    fleet: Fleet, tmp_path: Path
) -> None:
    """Nothing is lost and nothing judged meanwhile; it goes on within a minute."""
    (tmp_path / "slow.py").write_text(SLOW)

    async def work() -> Answer:
        async with dispatching(fleet, tmp_path) as dispatcher:
            verifying = asyncio.ensure_future(
                dispatcher.verify(request_for(tmp_path, "ckpt-1", "counts"))
            )
            await busy_worker(fleet, dispatcher)
            fleet.kill_scheduler()
            await until("the loss to be noticed", lambda: not dispatcher.engine()["reachable"])
            assert dispatcher.capacity == 0
            assert "No checkpoint is verified" in dispatcher.engine()["problems"][0]
            await asyncio.sleep(1.0)
            assert not verifying.done()
            fleet.start_scheduler()
            async with asyncio.timeout(60):
                return await verifying

    assert verdict_of(asyncio.run(work()))[0] is Verdict.VALID


def test_a_certificate_of_another_ca_is_refused(fleet: Fleet, tmp_path: Path) -> None:
    """Neither a daemon nor a worker gets in, and the message says that it is the certificate."""
    other = pair(tmp_path, "other-ca")
    stranger = dataclasses.replace(fleet, own=pair(tmp_path, "stranger", other), workers=[])

    async def work() -> str:
        (tmp_path / "config.toml").write_text(f'[daemon]\nstate_dir = "s"\n{stranger.config}')
        config = configuration.load(tmp_path / "config.toml")
        made = FleetDispatcher(config.dispatch, config.worker, tmp_path / "state/scratch")
        made.start()
        try:
            await until("an answer", lambda: made.engine()["message"].startswith("tls://"))
            assert not made.engine()["reachable"]
            return str(made.engine()["message"])
        finally:
            await made.close()

    assert "certificate" in asyncio.run(work())
    stranger.home = tmp_path
    worker = stranger.add_worker()
    try:
        eventually(
            "the refusal", lambda: any("certificate" in str(one) for one in worker.events()), 60.0
        )
        assert not worker.id
    finally:
        worker.close()


def test_what_looks_different_on_the_worker_is_superseded(fleet: Fleet, tmp_path: Path) -> None:
    """It is never invalid: the daemon and the worker may not see the same file system."""

    async def work() -> tuple[Answer, Answer]:
        async with dispatching(fleet, tmp_path) as dispatcher:
            first = request_for(tmp_path, "ckpt-1")
            os.utime(tmp_path / "ckpt-1.index", ns=(0, 1_600_000_000_000_000_000))
            gone = request_for(tmp_path, "ckpt-2")
            (tmp_path / "ckpt-2.index").unlink()
            return await dispatcher.verify(first), await dispatcher.verify(gone)

    changed, gone = asyncio.run(work())
    assert (changed.end, gone.end) == (End.SUPERSEDED, End.SUPERSEDED)
    assert ".index has another size or time on" in changed.message
    assert ".index cannot be found (No such file or directory) on" in gone.message


def test_a_daemon_shows_its_fleet_and_records_what_it_answers(fleet: Fleet, tmp_path: Path) -> None:
    """In the status, the page, the metrics and `doctor`; it never has numpy in its memory."""
    with daemon_in(tmp_path, f"{SCANNING}{fleet.config}") as daemon:
        bundle(tmp_path / "runs/ckpt-1", [b"a", b"b"])
        daemon.start()
        assert daemon.verdict(tmp_path / "runs/ckpt-1")["state"] == "valid"
        status = daemon.status()
        assert status["engine"]["reachable"]
        assert status["engine"]["workers"] == WORKERS
        assert status["workers"] == []
        assert "checkpointd_fleet_scheduler_up 1.0" in daemon.text("/metrics")
        assert f"checkpointd_fleet_workers {WORKERS}.0" in daemon.text("/metrics")
        assert f"{WORKERS} workers" in daemon.text("/")
        assert daemon.process is not None
        maps = Path(f"/proc/{daemon.process.pid}/maps").read_text()
        assert "numpy" not in maps
        done = daemon.cli("doctor", "fleet")
        assert (done.returncode, "answers" in done.stdout) == (0, True), done.stdout
        assert f"{WORKERS} workers on" in done.stdout


def test_doctor_names_a_certificate_that_is_refused(fleet: Fleet, tmp_path: Path) -> None:
    """As the scheduler refuses it, not as it looks."""
    stranger = dataclasses.replace(fleet, own=pair(tmp_path, "stranger", pair(tmp_path, "other")))
    (tmp_path / "config.toml").write_text(f'[daemon]\nstate_dir = "s"\n{stranger.config}')
    done = checkpointd("-c", str(tmp_path / "config.toml"), "doctor", "fleet", home=tmp_path)
    assert done.returncode == 1
    assert "do not accept each other's certificate" in " ".join(done.stdout.split())
