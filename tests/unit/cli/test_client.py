"""The command line's end of the control socket, against a real socket."""

from __future__ import annotations

import http.server
import json
import socketserver
import threading
from typing import TYPE_CHECKING, Any

import pytest

from checkpointd.cli.client import Client, NoDaemonError
from checkpointd.cli.errors import CliError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ANSWERS: dict[str, tuple[int, bytes]] = {
    "/api/v1/status": (200, b'{"healthy": true}'),
    "/control/pin": (404, b'{"error": "It is not known."}'),
    "/control/reload": (403, b'{"error": "Only its user may."}'),
    "/control/prune": (500, b'{"error": "Its log has the cause."}'),
    "/control/verify": (200, b"rubbish"),
    "/control/changed": (409, b'{"error": "It changed while it was verified."}'),
    "/control/other": (415, b'{"error": "It is no checkpoint."}'),
    "/control/wrong": (400, b'{"error": "The body must be an object."}'),
}


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers as the daemon does, and notes what it was asked."""

    asked: list[tuple[str, Any]] = []  # noqa: RUF012 - shared by all connections on purpose

    def do_GET(self) -> None:
        """Answer from the table; end without an answer where there is none."""
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        self.asked.append((self.path, json.loads(body) if body else None))
        if self.path not in ANSWERS:
            return
        status, answer = ANSWERS[self.path]
        self.send_response(status)
        self.end_headers()
        self.wfile.write(answer)

    do_POST = do_GET  # noqa: N815 - http.server's name

    def log_message(self, *_arguments: Any) -> None:
        """Say nothing."""


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    """A client whose daemon is the table above."""
    server = socketserver.ThreadingUnixStreamServer(str(tmp_path / "control.sock"), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    Handler.asked.clear()
    yield Client(tmp_path)
    server.shutdown()
    thread.join()
    server.server_close()


def test_an_answer_comes_back_as_it_was_given(client: Client) -> None:
    """JSON over HTTP over a unix socket."""
    assert client.is_up()
    assert client.get("/api/v1/status") == {"healthy": True}


def test_names_with_odd_bytes_arrive_as_they_are(client: Client) -> None:
    """Lone surrogates survive the way as escapes."""
    with pytest.raises(CliError):
        client.post("pin", path="/a\udcff\n", note="")
    assert Handler.asked == [("/control/pin", {"path": "/a\udcff\n", "note": ""})]


@pytest.mark.parametrize(
    ("action", "code", "sentence"),
    [
        ("pin", 4, "It is not known."),
        ("reload", 69, "Only its user may."),
        ("prune", 70, "Its log has the cause."),
        ("verify", 70, "is it another version"),
        ("unpin", 69, "ended before it had answered"),
        ("changed", 3, "changed while it was verified"),
        ("other", 2, "no checkpoint"),
        ("wrong", 70, "must be an object"),
    ],
)
def test_a_refusal_is_the_daemons_own_sentence(
    client: Client, action: str, code: int, sentence: str
) -> None:
    """A script sees what it was by the exit code."""
    with pytest.raises(CliError, match=sentence) as caught:
        client.post(action)
    assert caught.value.code == code


def test_where_nobody_listens_there_is_no_daemon(tmp_path: Path) -> None:
    """Also where a dead daemon has left its socket."""
    client = Client(tmp_path)
    assert not client.is_up()
    with socketserver.UnixStreamServer(str(tmp_path / "control.sock"), Handler):
        pass
    assert not client.is_up()
    with pytest.raises(NoDaemonError, match=r"Start the service .* or `checkpointd run`") as caught:
        client.get("/api/v1/status")
    assert caught.value.code == 69
