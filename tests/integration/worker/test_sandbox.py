"""The sandbox on a real kernel: user code that tries everything, a kernel that cannot confine."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from checkpointd.config import WorkerSettings
from checkpointd.core.checkpoint import Checkpoint
from checkpointd.core.format_specs import Format
from checkpointd.core.request import Answer, End, Request
from checkpointd.core.suite import LOAD_CHECKS
from checkpointd.core.verdict import Verdict
from checkpointd.core.verify_settings import UserCheck, VerifySettings
from checkpointd.dispatch.local import LocalDispatcher
from checkpointd.formats import generation_of
from tests.helpers.kernels import without

if TYPE_CHECKING:
    from collections.abc import Callable

    from checkpointd.core.check_result import CheckResult

HOSTILE = Path(__file__).parents[2] / "helpers" / "hostile_code.py"
ROOT = Path(__file__).parents[3]

_FILTERED = """
import asyncio, json, sys
from pathlib import Path
path, scratch = sys.argv[1:]
from checkpointd.core.checkpoint import Checkpoint
from checkpointd.core.format_specs import Format
from checkpointd.core.request import Request
from checkpointd.config import WorkerSettings
from checkpointd.core.verify_settings import VerifySettings
from checkpointd.dispatch.local import LocalDispatcher
from checkpointd.formats import generation_of

async def main():
    dispatcher = LocalDispatcher(WorkerSettings(), Path(scratch))
    generation = generation_of(path, Format.HDF5)
    request = Request(Checkpoint(path, Format.HDF5), generation, VerifySettings())
    try:
        for mode in ("enforce", "best-effort"):
            dispatcher.configure(WorkerSettings(sandbox=mode))
            answer = await dispatcher.verify(request)
            print(json.dumps(answer.report.to_public()))
        print(json.dumps(dispatcher.status()))
    finally:
        await dispatcher.close()

asyncio.run(main())
"""


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model as a file, a SavedModel and a TensorFlow checkpoint."""
    import keras
    import tensorflow as tf

    home = tmp_path_factory.mktemp("saved")
    model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(3)])
    model.save(home / "model.h5")
    tf.saved_model.save(model, str(home / "export"))
    (home / "runs").mkdir()
    tf.train.Checkpoint(model=model).write(str(home / "runs" / "ckpt-1"))
    return home


@pytest.fixture
def code(tmp_path: Path) -> Path:
    """Make the directory of the hostile module, and its instructions."""
    home = tmp_path / "code"
    home.mkdir()
    shutil.copy(HOSTILE, home / "hostile_code.py")
    foreign = tmp_path / "foreign" / "secret"
    foreign.parent.mkdir()
    foreign.write_text("secret")
    targets = {"foreign": str(foreign), "daemon": os.getpid(), "port": 0}
    (home / "target.json").write_text(json.dumps(targets))
    return home


def verify(
    paths: list[tuple[Path, Format]],
    settings: VerifySettings,
    scratch: Path,
    on_check: Callable[[CheckResult], None] | None = None,
) -> list[Answer]:
    """Verify checkpoints, one after the other."""

    async def run() -> list[Answer]:
        dispatcher = LocalDispatcher(WorkerSettings(timeout=60.0), scratch)
        answers = []
        try:
            for path, form in paths:
                generation = generation_of(str(path), form)
                checkpoint = Checkpoint(str(path), form)
                request = Request(checkpoint, generation, settings, overdue=True)
                answers.append(await dispatcher.verify(request, on_check))
            return answers
        finally:
            await dispatcher.close()

    return asyncio.run(run())


def tree(home: Path) -> dict[str, tuple[int, int, int, bytes]]:
    """Everything below a directory: modes, times and contents."""
    found = {}
    for path in sorted(home.rglob("*")):
        seen = path.lstat()
        content = path.read_bytes() if path.is_file() else b""
        found[str(path)] = (seen.st_mode, seen.st_mtime_ns, seen.st_nlink, content)
    return found


def test_user_code_can_do_nothing_but_compute(saved: Path, code: Path, tmp_path: Path) -> None:
    """In the scan's child and with the model loaded: every attack is refused, nothing happened."""
    runs = tmp_path / "runs"
    runs.mkdir()
    shutil.copy(saved / "model.h5", runs / "model.h5")
    target = json.loads((code / "target.json").read_text())
    with socket.create_server(("127.0.0.1", 0)) as server:
        target["port"] = server.getsockname()[1]
        (code / "target.json").write_text(json.dumps(target))
        settings = VerifySettings(
            python_path=(str(code),),
            checks=(
                UserCheck("scanned", "hostile_code:attack", "scan"),
                UserCheck("loaded", "hostile_code:attack", "load"),
            ),
        )
        before = {**tree(runs), **tree(code.parent / "foreign")}
        scratch = tmp_path / "scratch"
        report = verify([(runs / "model.h5", Format.HDF5)], settings, scratch)[0].report
        server.settimeout(0)
        with pytest.raises(BlockingIOError):
            server.accept()
    assert report is not None
    assert report.verdict is Verdict.VALID, report.message
    assert {**tree(runs), **tree(code.parent / "foreign")} == before
    for check in report.checks[-1], next(c for c in report.checks if c.name == "scanned"):
        assert check.details["at_home"]
        attacks = check.details["attacks"]
        assert len(attacks) > 50
        assert {name: outcome for name, outcome in attacks.items() if outcome != "refused"} == {}
        leaked = [
            link
            for link in check.details["open"]
            if not link.startswith(("/dev/", "/memfd:stderr", "socket:", "pipe:", "anon_inode:"))
        ]
        assert leaked == []
        assert len([link for link in check.details["open"] if link.startswith("socket:")]) == 1
    assert report.facts.environment["sandbox"].endswith("seccomp")
    assert not [name for name in os.listdir(scratch) if name.startswith(("scan-", "load-"))]


def test_a_user_check_that_is_refused_a_file_gets_a_message_about_read_paths(
    saved: Path, code: Path, tmp_path: Path
) -> None:
    """The message names the key that helps; with it, the check passes."""
    settings = VerifySettings(
        python_path=(str(code),),
        checks=(UserCheck("reads", "hostile_code:read_foreign", "scan"),),
        skip=LOAD_CHECKS,
    )
    results: list[CheckResult] = []
    model = [(saved / "model.h5", Format.HDF5)]
    verify(model, settings, tmp_path / "scratch", results.append)
    assert results[-1].reason == "reads.check_error"
    assert "refused by the sandbox: name what it has to read in read_paths" in results[-1].message
    opened = replace(settings, read_paths=(str(code.parent / "foreign"),))
    report = verify(model, opened, tmp_path / "scratch")[0].report
    assert report is not None
    assert report.verdict is Verdict.VALID, report.message


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("model.h5", Format.HDF5),
        ("export", Format.SAVEDMODEL),
        ("runs/ckpt-1", Format.TF_CHECKPOINT),
    ],
)
def test_a_checkpoint_replaced_while_it_is_read_is_superseded(
    saved: Path, code: Path, tmp_path: Path, name: str, form: Format
) -> None:
    """Landlock binds what was there: its successor cannot be read, and that is no fault of it."""
    home = tmp_path / "home"
    shutil.copytree(saved, home)
    settings = VerifySettings(
        python_path=(str(code),),
        checks=(UserCheck("waits", "hostile_code:wait_until_replaced", "scan"),),
        skip=LOAD_CHECKS,
    )
    path = home / name
    moved = path.parent if form is Format.TF_CHECKPOINT else path
    targets = {"moved": (str(moved), moved.stat().st_ino)}
    (code / "target.json").write_text(json.dumps(targets))
    results = []

    def replace_it(check: CheckResult) -> None:
        results.append((check.name, check.message))
        if check.name == "drift":
            moved.rename(f"{moved}.old")
            if os.path.isdir(f"{moved}.old"):
                shutil.copytree(f"{moved}.old", moved)
            else:
                shutil.copy2(f"{moved}.old", moved)

    answer = verify([(path, form)], settings, tmp_path / "scratch", replace_it)[0]
    assert results[-1] == ("waits", "refused")
    assert answer.end is End.SUPERSEDED, answer


def test_members_that_are_links_to_elsewhere_are_read(saved: Path, tmp_path: Path) -> None:
    """As a cache of downloads has them: each file a link to a blob in another directory."""
    blobs, home = tmp_path / "blobs", tmp_path / "snapshots"
    blobs.mkdir()
    for path in (p for p in saved.rglob("*") if p.is_file()):
        blob = blobs / str(path.relative_to(saved)).replace("/", "-")
        shutil.copy(path, blob)
        link = home / path.relative_to(saved)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(blob)
    paths = [
        (home / "model.h5", Format.HDF5),
        (home / "export", Format.SAVEDMODEL),
        (home / "runs/ckpt-1", Format.TF_CHECKPOINT),
    ]
    settings = VerifySettings(skip=LOAD_CHECKS[1:])
    answers = verify(paths, settings, tmp_path / "scratch")
    found = [(str(a.report.verdict), a.report.message) for a in answers if a.report is not None]
    assert [verdict for verdict, _ in found] == ["valid"] * 3, found


def test_a_kernel_that_cannot_confine_loads_nothing_unless_it_may(
    saved: Path, tmp_path: Path
) -> None:
    """The scan goes on, the message names what is missing; best-effort loads and reports it."""
    missing = "seccomp is blocked by another filter"
    command = [sys.executable, "-c", _FILTERED, str(saved / "model.h5"), str(tmp_path / "scratch")]
    done = subprocess.run(
        [*without("seccomp", "EPERM"), *command],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines: list[Any] = [json.loads(line) for line in done.stdout.splitlines()]
    enforced, tried, workers = lines
    assert (enforced["verdict"], enforced["reason"]) == ("inconclusive", "load.sandbox_unavailable")
    assert missing in enforced["message"]
    assert 'sandbox = "best-effort" in [worker]' in enforced["message"]
    assert enforced["shown"] == ["intact"]
    assert [c["outcome"] for c in enforced["checks"]].count("skip") >= len(LOAD_CHECKS) - 2
    assert tried["verdict"] == "valid", tried["message"]
    assert "loads" in tried["shown"]
    assert missing in tried["environment"]["sandbox"]
    for worker in workers:
        assert missing in worker["sandbox"]["missing"][0]


_OLD_ABI = """
import json, os, sys
from checkpointd.worker import landlock, access_rules, sandbox
abi, foreign, readable, scratch = int(sys.argv[1]), *sys.argv[2:]
os.chdir(scratch)
landlock.version = lambda machine: abi
allowed = ((readable, landlock.READ_FILE), (scratch, landlock.WRITE))
rules = (*access_rules.interpreter_rules(), *allowed)
state = sandbox.enter_child(access_rules.AccessRules(rules), foreign)

def tried(function):
    try:
        function()
    except PermissionError:
        return "refused"
    return "DONE"

def opened(path, flags):
    return lambda: os.close(os.open(path, flags, 0o600))

with open("own", "w") as file:
    file.write("mine")
with open("own", "w") as file:
    file.truncate(2)
print(json.dumps({
    "state": [state.landlock, state.seccomp, state.missing],
    "read": tried(opened(readable, os.O_RDONLY)),
    "attacks": [tried(attack) for attack in (
        opened(foreign, os.O_RDONLY),
        opened(readable, os.O_WRONLY),
        opened(readable, os.O_RDONLY | os.O_TRUNC),
        opened(readable, 3 | os.O_TRUNC),
        opened(foreign, os.O_RDONLY | os.O_TRUNC),
        opened(foreign, 3 | os.O_TRUNC),
        lambda: os.truncate(readable, 0),
        lambda: os.truncate(foreign, 0),
        lambda: os.rename(readable, "taken"),
    )],
}))
"""


@pytest.mark.parametrize("abi", [2, 3, 5, 6])
def test_an_older_landlock_keeps_files_whole_as_well(tmp_path: Path, abi: int) -> None:
    """Truncation, which it does not know before its third version, is refused by seccomp."""
    foreign, readable, scratch = (tmp_path / name for name in ("foreign", "readable", "scratch"))
    foreign.write_text("whole")
    readable.write_text("whole")
    scratch.mkdir()
    words = [str(abi), str(foreign), str(readable), str(scratch)]
    done = subprocess.run(
        [sys.executable, "-c", _OLD_ABI, *words],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    outcome = json.loads(done.stdout)
    assert outcome["state"] == [abi, True, []]
    assert outcome["read"] == "DONE"
    assert set(outcome["attacks"]) == {"refused"}
    assert (foreign.read_text(), readable.read_text()) == ("whole", "whole")
