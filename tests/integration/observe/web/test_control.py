"""The control socket: reading for the group, changing for the owner."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
import pytest

from checkpointd.cli.client import Client, NoDaemonError
from checkpointd.cli.errors import CliError
from checkpointd.core.permissions import user_name
from checkpointd.observe.metrics import Metrics
from checkpointd.observe.snapshot import Snapshot
from checkpointd.observe.web import connections
from checkpointd.observe.web import control as control_module
from checkpointd.observe.web.app import MAX_BODY, create_app
from checkpointd.observe.web.server import ListenError, UnixServer
from tests.helpers.observe import ODD, RecordingControl, Source

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

NOBODY = 65534


def over_unix(
    path: Path,
    use: Callable[[aiohttp.ClientSession, RecordingControl], Awaitable[None]],
) -> None:
    """Serve on a unix socket with a control, and use it."""

    async def run() -> None:
        control = RecordingControl()
        server = UnixServer(create_app(Source(), Metrics(Snapshot), control), path)
        await server.start()
        try:
            connector = aiohttp.UnixConnector(str(path))
            async with aiohttp.ClientSession("http://localhost", connector=connector) as client:
                await use(client, control)
        finally:
            await server.close()

    asyncio.run(run())


@pytest.fixture
def short_dir() -> Iterator[Path]:
    """A directory that anybody may enter, with a path short enough for a socket."""
    path = Path(tempfile.mkdtemp(prefix="checkpointd-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


def test_the_owner_controls_the_daemon_over_the_socket(short_dir: Path) -> None:
    """Each command arrives with what it was given, odd bytes included."""

    async def use(client: aiohttp.ClientSession, control: RecordingControl) -> None:
        for command, body in (
            ("reload", None),
            ("prune", {"apply": True, "watch": "resnet"}),
            ("prune", {}),
            ("pin", {"path": ODD, "note": "paper"}),
            ("unpin", {"path": ODD}),
            ("tag", {"path": ODD, "tags": ["prod", "eval"]}),
            ("untag", {"path": ODD, "tags": ["prod"]}),
            ("restore", {"path": ODD}),
            ("restore", {"path": "20261127T081200Z-0a1b2c3d"}),
            ("verify", {"path": ODD}),
        ):
            async with client.post(f"/control/{command}", json=body) as answer:
                assert (answer.status, await answer.json()) == (200, {"done": command})
        assert control.calls == [
            ("reload",),
            ("prune", True, "resnet"),
            ("prune", False, None),
            ("pin", ODD, "paper"),
            ("unpin", ODD),
            ("tag", ODD, "prod", "eval"),
            ("untag", ODD, "prod"),
            ("restore", ODD),
            ("restore", "20261127T081200Z-0a1b2c3d"),
            ("verify", ODD),
        ]
        async with client.get("/api/v1/status") as answer:
            assert answer.status == 200

    over_unix(short_dir / "control.sock", use)


def test_a_refused_or_invalid_command_gets_a_sentence(short_dir: Path) -> None:
    """Wrong JSON, wrong types, relative paths, large bodies, and the daemon's refusal."""

    async def use(client: aiohttp.ClientSession, control: RecordingControl) -> None:
        for command, data, status in (
            ("pin", '{"path": "/refused"}', 404),
            ("pin", '{"path": "relative"}', 400),
            ("pin", '{"path": "/a\\u0000"}', 400),
            ("restore", '{"path": "runs/relative"}', 400),
            ("restore", '{"path": ""}', 400),
            ("pin", "{}", 400),
            ("pin", '{"path": 7}', 400),
            ("prune", '{"apply": "yes"}', 400),
            ("prune", "[]", 400),
            ("prune", "{", 400),
            ("prune", "[" * 60_000, 400),
            ("prune", "\xff", 400),
            ("prune", "x" * (MAX_BODY + 1), 413),
            ("format", "{}", 404),
        ):
            async with client.post(f"/control/{command}", data=data.encode("latin-1")) as answer:
                assert answer.status == status
                assert (await answer.json())["error"].endswith(".")
        assert control.calls == []

    over_unix(short_dir / "control.sock", use)


def test_the_socket_is_for_owner_and_group_and_is_removed(short_dir: Path) -> None:
    """Mode 0660 from the first moment; a socket left by a crash is replaced."""
    path = short_dir / "control.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))

    async def use(_client: aiohttp.ClientSession, _control: RecordingControl) -> None:
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        second = UnixServer(create_app(Source(), Metrics(Snapshot)), path)
        with pytest.raises(ListenError, match="Another checkpointd"):
            await second.start()

    over_unix(path, use)
    assert not path.exists()


def test_a_file_in_the_way_or_a_long_path_is_reported(tmp_path: Path) -> None:
    """Somebody's file is never replaced, and the kernel's limit has a cure."""
    (tmp_path / "file").write_text("mine", encoding="utf-8")
    for path, match in ((tmp_path / "file", "in the way"), (tmp_path / ("x" * 120), "shorter")):
        server = UnixServer(create_app(Source(), Metrics(Snapshot)), path)
        with pytest.raises(ListenError, match=match):
            asyncio.run(server.start())
    assert (tmp_path / "file").read_text(encoding="utf-8") == "mine"


STRANGER = """
import json, socket, sys
def ask(request):
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(10)
    sock.connect(sys.argv[1])
    sock.sendall(request)
    return sock.recv(65536).decode()
head = "HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\nContent-Length: 0\\r\\n\\r\\n"
print(ask(f"GET /healthz {head}".encode()).split()[1])
answer = ask(f"POST /control/reload {head}".encode())
print(answer.split()[1], answer.rpartition("\\r\\n\\r\\n")[2])
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="not root: cannot become another user; NOT checked")
def test_another_user_may_read_but_not_change(short_dir: Path) -> None:
    """The kernel reports the user: a member of the group gets 403 and a sentence."""
    path = short_dir / "control.sock"

    async def use(_client: aiohttp.ClientSession, control: RecordingControl) -> None:
        os.chown(path, -1, NOBODY)
        done = await asyncio.to_thread(
            subprocess.run,
            ["/usr/bin/env", "python3", "-c", STRANGER, str(path)],
            user=NOBODY,
            group=NOBODY,
            extra_groups=[],
            env={"PATH": "/usr/bin:/bin"},
            cwd="/",
            capture_output=True,
            text=True,
            check=True,
        )
        read, changed = done.stdout.split("\n", 1)
        assert read == "200"
        assert changed.startswith("403")
        assert "Only root may change anything: use sudo." in changed
        assert control.calls == []

    if not Path("/usr/bin/python3").exists():
        pytest.skip(f"no python that another user can run ({sys.executable}): NOT checked")
    over_unix(path, use)


def test_a_silent_client_blocks_nobody(short_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is dropped, and so is one whose body never comes to its end; the others go on."""
    monkeypatch.setattr(connections, "HEADER_SECONDS", 0.3)
    monkeypatch.setattr(control_module, "_BODY_SECONDS", 0.3)
    path = short_dir / "control.sock"
    head = b"POST /control/prune HTTP/1.1\r\nHost: x\r\nContent-Length: "

    async def use(client: aiohttp.ClientSession, control: RecordingControl) -> None:
        silent = [await asyncio.open_unix_connection(path) for _ in range(100)]
        slow, slow_end = await asyncio.open_unix_connection(path)
        slow_end.write(head + b"9\r\n\r\n{")
        huge, huge_end = await asyncio.open_unix_connection(path)
        huge_end.write(head + b"99999999999\r\n\r\n" + b"x" * MAX_BODY * 2)
        async with client.post("/control/reload") as answer:
            assert answer.status == 200
        async with asyncio.timeout(60):
            assert (await slow.read(300)).startswith(b"HTTP/1.1 408 ")
            assert (await huge.read(300)).startswith(b"HTTP/1.1 413 ")
            for reader, writer in silent:
                assert await reader.read() == b""
                writer.close()
        slow_end.close()
        huge_end.close()
        assert control.calls == [("reload",)]

    over_unix(path, use)


SQUATTER = """
import socket, sys, time
kept = socket.socket(fileno=int(sys.argv[1]))
kept.listen()
time.sleep(60)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="not root: cannot become another user; NOT checked")
@pytest.mark.skipif(
    not Path("/usr/bin/python3").exists(), reason="no python that others run: NOT checked"
)
def test_the_command_line_does_not_trust_another_users_socket(short_dir: Path) -> None:
    """That somebody can create a socket in the directory does not make it the daemon's."""
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(short_dir / "control.sock"))
        squatter = subprocess.Popen(
            ["/usr/bin/python3", "-c", SQUATTER, str(bound.fileno())],
            pass_fds=[bound.fileno()],
            user=NOBODY,
            cwd="/",
        )
    try:
        with pytest.raises(CliError, match=f"User {user_name(NOBODY)} answers on"):
            _until_it_listens(Client(short_dir))
    finally:
        squatter.kill()
        squatter.wait()


def _until_it_listens(client: Client) -> None:
    for _ in range(100):
        try:
            client.get("/api/v1/status")
        except NoDaemonError:
            time.sleep(0.05)
