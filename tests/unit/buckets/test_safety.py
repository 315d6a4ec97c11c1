"""What the answers of a store show: that it honours conditions, and that deletes can be undone."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from checkpointd.buckets.client import StoredObject
from checkpointd.buckets.stores import deleting_store

if TYPE_CHECKING:
    from collections.abc import Iterator

pytest.importorskip("boto3")

OWN = StoredObject("runs/.checkpointd/ledger.json", 2, 0, "abc")
DELETES: list[tuple[str, str]] = []
ANSWERS = {"absent": 412, "own": 412, "versioning": "Enabled", "mfa": "Disabled"}


class Store(BaseHTTPRequestHandler):
    """Answers as `ANSWERS` says, and notes each delete with its condition."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Nothing is printed."""

    def _answer(self, status: int, body: bytes = b"") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_DELETE(self) -> None:
        """A single delete."""
        DELETES.append((self.path, self.headers.get("If-Match", "")))
        self._answer(int(ANSWERS["own" if self.path.endswith(OWN.key) else "absent"]))

    def do_GET(self) -> None:
        """The versioning of the bucket; there are no lifecycle rules."""
        if "versioning" not in self.path:
            return self._answer(404)
        status, mfa = ANSWERS["versioning"], ANSWERS["mfa"]
        text = f"<Status>{status}</Status><MfaDelete>{mfa}</MfaDelete>" if status else ""
        found = f"<VersioningConfiguration>{text}</VersioningConfiguration>"
        return self._answer(200, found.encode())


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """A server on loopback."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Store)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("answers", "has_own", "deletes", "undo"),
    [
        ({}, False, "", ""),
        ({"absent": 204}, True, "answered with 204 instead of 412", ""),
        ({"absent": 404}, False, "answered with 404 instead of 412", ""),
        ({"absent": 404}, True, "", ""),
        ({"absent": 404, "own": 204}, True, "has not shown", ""),
        ({"versioning": ""}, False, "", "versioning of the bucket is off"),
        ({"versioning": "Suspended"}, False, "", "versioning of the bucket is suspended"),
        ({"mfa": "Enabled"}, False, "", "MFA Delete is enabled"),
    ],
)
def test_only_what_a_store_shows_counts(
    endpoint: str,
    monkeypatch: pytest.MonkeyPatch,
    answers: dict[str, int | str],
    has_own: bool,
    deletes: str,
    undo: str,
) -> None:
    """Whatever it answers, it is asked to delete nothing but under a condition that fails."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    DELETES.clear()
    for name, value in answers.items():
        monkeypatch.setitem(ANSWERS, name, value)
    found = deleting_store("s3://ckpts/runs").safety(OWN if has_own else None)
    assert deletes in found.deletes
    assert undo in found.undo
    assert (not deletes, not undo) == (not found.deletes, not found.undo)
    assert all(condition == '"0"' for _, condition in DELETES)
    assert found.is_unproven == (answers.get("absent") == 404 and not has_own)
