"""Each check of the host, against real directories, files and sockets that are really wrong."""

from __future__ import annotations

import http.server
import os
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from checkpointd.cli.doctor import kernel_checks, program_checks, service_checks, storage_checks
from checkpointd.cli.doctor.finding import Level
from checkpointd.cli.doctor.host import Host, inspect_host
from checkpointd.cli.doctor.table import CHECKS
from checkpointd.cli.service_account import own_account
from checkpointd.cli.workspace import Workspace
from checkpointd.config import load
from checkpointd.ledger import Ledger
from checkpointd.observe.status import DaemonStatus, WatchStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from checkpointd.cli.doctor.finding import Finding

OTHER_DISK = "/dev/shm"  # noqa: S108 - nothing is created there


def worst(findings: Iterable[Finding]) -> tuple[Level, str]:
    """The level and the text of the worst finding."""
    order = (Level.PROBLEM, Level.WARNING, Level.UNKNOWN, Level.OK)
    found = min(findings, key=lambda one: order.index(one.level))
    assert found.cure or found.level is Level.OK
    return found.level, f"{found.message} {found.cure}"


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Host]:
    """Makes a host whose config has some text, below a directory with a root `runs`."""
    (tmp_path / "runs").mkdir()
    (tmp_path / "state").mkdir()

    def made(text: str = "", status: DaemonStatus | None = None) -> Host:
        path = tmp_path / "config.toml"
        path.write_text(
            "[daemon]\nstate_dir = 'state'\n[[watch]]\nname = 'a'\npath = 'runs'\n" + text
        )
        config, none = load(path), ("", "")
        return Host(path, config, none, config.state_dir, status, none, own_account())

    return made


def test_every_check_finds_something_on_a_host_without_anything(tmp_path: Path) -> None:
    """No config and no daemon are findings with a cure, and no check fails."""
    host = inspect_host(Workspace(tmp_path / "config.toml"))
    for check in CHECKS:
        if check.name == "interpreters":  # imports TensorFlow; tried in the end-to-end tests
            continue
        findings = list(check.run(host))
        assert findings, check.name
        assert all(f.cure or f.level is Level.OK for f in findings), check.name
    assert worst(service_checks.config(host))[0] is Level.PROBLEM
    assert worst(service_checks.daemon(host))[0] is Level.PROBLEM


def test_a_root_that_is_not_there_is_a_warning(make: Callable[..., Host], tmp_path: Path) -> None:
    """The daemon waits for it; a file in its place is none."""
    host = make()
    assert worst(storage_checks.roots(host))[0] is Level.OK
    (tmp_path / "runs").rmdir()
    assert "does not exist" in worst(storage_checks.roots(host))[1]
    (tmp_path / "runs").touch()
    assert "is no directory" in worst(storage_checks.roots(host))[1]


def test_what_the_daemon_reports_about_a_watch_is_a_finding(make: Callable[..., Host]) -> None:
    """It sees what a shell does not, such as its own mounts."""
    status = DaemonStatus(watches=(WatchStatus(name="a", up=False, message="It hangs."),))
    level, text = worst(storage_checks.roots(make(status=status)))
    assert (level, "a: It hangs." in text) == (Level.PROBLEM, True)


def test_a_state_directory_that_everybody_may_write_is_a_problem(
    make: Callable[..., Host], tmp_path: Path
) -> None:
    """Anybody could put a socket there."""
    (tmp_path / "state").chmod(0o777)
    level, text = worst(storage_checks.state(make()))
    assert (level, "chmod o-w" in text) == (Level.PROBLEM, True)


def test_a_ledger_is_missing_broken_or_read(make: Callable[..., Host], tmp_path: Path) -> None:
    """Before the first start there is none; what is no database is a problem."""
    host = make()
    assert worst(storage_checks.ledger(host))[0] is Level.UNKNOWN
    (tmp_path / "state/ledger.sqlite").write_bytes(b"rubbish" * 1000)
    assert worst(storage_checks.ledger(host))[0] is Level.PROBLEM
    (tmp_path / "state/ledger.sqlite").unlink()
    Ledger.open(tmp_path / "state").close()
    assert worst(storage_checks.ledger(host)) == (Level.OK, "knows 0 checkpoints ")


def test_the_trash_must_be_on_the_file_system_of_its_root(
    make: Callable[..., Host], tmp_path: Path
) -> None:
    """A rename cannot cross file systems; without enforce nothing is needed."""
    assert worst(storage_checks.trash(make()))[0] is Level.OK
    enforced = "[watch.retention]\nmode = 'enforce'\nkeep_last = 3\n"
    assert worst(storage_checks.trash(make(enforced)))[0] is Level.OK
    if os.stat(OTHER_DISK).st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second file system")
    host = make(f"{enforced}trash_dir = '{OTHER_DISK}/checkpointd-trash'\n")
    assert "another file system" in worst(storage_checks.trash(host))[1]


def test_a_full_disk_is_a_problem(
    make: Callable[..., Host], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In bytes, and in files where a file system counts them."""
    real = os.statvfs

    def few(**less: int) -> Callable[[str], os.statvfs_result]:
        fields = ("bsize", "frsize", "blocks", "bfree", "bavail", "files", "ffree", "favail")

        def statvfs(path: str) -> os.statvfs_result:
            found = real(path)
            row = [less.get(f"f_{name}", getattr(found, f"f_{name}")) for name in fields]
            return os.statvfs_result((*row, found.f_flag, found.f_namemax))

        return statvfs

    sizes = {"f_blocks": 10**9, "f_bavail": 5 * 10**8, "f_frsize": 4096}
    for less, level in (
        ({"f_bavail": 10}, Level.PROBLEM),
        ({"f_bavail": 10**7}, Level.WARNING),
        ({"f_files": 10**6, "f_favail": 10}, Level.PROBLEM),
        ({"f_files": 0, "f_favail": 0}, Level.OK),
    ):
        monkeypatch.setattr(os, "statvfs", few(**{**sizes, **less}))
        assert worst(storage_checks.disk(make()))[0] is level, less


def test_more_directories_than_inotify_watches_are_a_problem(
    make: Callable[..., Host], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cure is a number that is enough."""
    for name in "abcde":
        (tmp_path / "runs" / name).mkdir()
    monkeypatch.setattr(kernel_checks, "_INOTIFY", tmp_path)
    limit = tmp_path / "max_user_watches"
    for number, level in (("6", Level.PROBLEM), ("11", Level.WARNING), ("999", Level.OK)):
        limit.write_text(number)
        assert worst(kernel_checks.watch_limits(make()))[0] is level, number
    limit.write_text("6")
    assert "fs.inotify.max_user_watches=24" in worst(kernel_checks.watch_limits(make()))[1]


def test_files_from_the_future_are_a_warning(make: Callable[..., Host], tmp_path: Path) -> None:
    """One of two clocks is wrong, and retention goes by them."""
    path = tmp_path / "runs/m.h5"
    path.touch()
    os.utime(path, (time.time() + 7200, time.time() + 7200))
    texts = [f.message for f in kernel_checks.clock(make())]
    assert any(str(path) in text and "in the future" in text for text in texts)


def test_an_interpreter_that_cannot_import_is_a_problem(
    make: Callable[..., Host], tmp_path: Path
) -> None:
    """What it says itself is in the message."""
    python = tmp_path / "venv/bin/python"
    python.parent.mkdir(parents=True)
    python.write_text("#!/bin/sh\necho 'no module of that name' >&2\nexit 3\n")
    python.chmod(0o755)
    host = make(f"[watch.verify]\npython = '{python}'\n")
    level, text = worst(program_checks.interpreters(host))
    assert level is Level.PROBLEM
    assert "ends with 3 when it imports TensorFlow: no module of that name" in text
    python.write_text("#!/bin/sh\necho python 3.12.0\necho \"No module named 'tensorflow'\"\n")
    assert "cannot import all of it: No module" in worst(program_checks.interpreters(host))[1]


def test_a_hook_that_is_not_there_is_a_problem(make: Callable[..., Host], tmp_path: Path) -> None:
    """Nobody would be notified."""
    assert worst(program_checks.hooks(make())) == (Level.OK, "none ")
    hook = tmp_path / "hook"
    host = make(f"[watch.hooks]\non_verdict = ['{hook}', 'x']\n")
    assert "does not exist" in worst(program_checks.hooks(host))[1]
    hook.touch()
    assert "is not executable" in worst(program_checks.hooks(host))[1]
    hook.chmod(0o755)
    assert worst(program_checks.hooks(host))[0] is Level.OK


def test_who_reads_the_metrics_is_known_to_the_daemon(make: Callable[..., Host]) -> None:
    """Right after the start nobody can have."""
    now = time.time()
    for status, level in (
        (DaemonStatus(started_at=now - 10), Level.UNKNOWN),
        (DaemonStatus(started_at=now - 9999), Level.WARNING),
        (DaemonStatus(started_at=now - 9999, last_scrape_at=now - 5), Level.OK),
        (DaemonStatus(started_at=now - 9999, last_scrape_at=now - 5000), Level.WARNING),
    ):
        assert worst(service_checks.prometheus(make(status=status)))[0] is level


def test_something_else_on_the_address_is_a_problem(make: Callable[..., Host]) -> None:
    """A web server of another kind has no /healthz."""
    with http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        host = make()
        assert host.config is not None
        web = host.config.web.model_copy(update={"listen": f"127.0.0.1:{server.server_port}"})
        host = replace(host, config=host.config.model_copy(update={"web": web}))
        level, text = worst(service_checks.web(host))
        thread.join()
    assert (level, "Something else answers" in text) == (Level.PROBLEM, True)
    assert "does not answer" in worst(service_checks.web(host))[1]


def test_a_port_that_the_system_chooses_is_asked_of_the_daemon(make: Callable[..., Host]) -> None:
    """With port 0 in the config only the daemon knows where it answers."""
    text = "[web]\nlisten = '127.0.0.1:0'\n"
    assert worst(service_checks.web(make(text)))[0] is Level.UNKNOWN
    with http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}"
        level, said = worst(service_checks.web(make(text, DaemonStatus(web=url))))
        thread.join()
    assert level is Level.PROBLEM
    assert f"Something else answers on 127.0.0.1:{server.server_port}: " in said
