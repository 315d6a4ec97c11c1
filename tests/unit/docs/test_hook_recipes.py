"""The recipes of the page about hooks do what it says."""

from __future__ import annotations

import http.server
import importlib.resources
import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
import threading
from contextlib import contextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PAGE = importlib.resources.files("checkpointd") / "docs" / "hooks.md"
REPORT = {"path": "", "verdict": "invalid", "reason": "finite.nan", "event": "on_verdict"}


def recipe(name: str) -> str:
    """The code below the mark of a recipe."""
    found = re.search(rf"<!-- recipe: {name} -->\n```\w+\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert found is not None
    return found[1]


def run(name: str, home: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a recipe as a hook is run."""
    script = home / name
    script.write_text(recipe(name))
    script.chmod(0o755)
    facts = {
        "CHECKPOINTD_EVENT": "on_verdict",
        "CHECKPOINTD_WATCH": "resnet",
        "CHECKPOINTD_VERDICT": "invalid",
        "CHECKPOINTD_REASON": "finite.nan",
        "CHECKPOINTD_HOOK_ID": "abc-7",
        "CHECKPOINTD_PATH": str(home / "ckpt-3"),
    }
    return subprocess.run(
        [*([sys.executable] if "python" in recipe(name)[:30] else []), str(script)],
        input=json.dumps({**REPORT, "path": str(home / "ckpt-3")}),
        env={**os.environ, **facts, **variables},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@contextmanager
def receiver(status: int) -> Iterator[tuple[str, list[tuple[dict[str, str], Any]]]]:
    """A real server, and what it has received."""
    received: list[tuple[dict[str, str], Any]] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received.append((dict(self.headers), json.loads(body)))
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/hook", received
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
def test_a_webhook_receives_the_event_and_its_refusal_is_a_failure(tmp_path: Path) -> None:
    """So that it is tried again."""
    with receiver(204) as (url, received):
        assert run("webhook", tmp_path, WEBHOOK_URL=url).returncode == 0
    ((headers, body),) = received
    assert (headers["Idempotency-Key"], body["reason"]) == ("abc-7", "finite.nan")
    with receiver(503) as (url, _):
        assert run("webhook", tmp_path, WEBHOOK_URL=url).returncode != 0


def test_a_mail_is_sent_about_what_is_not_valid(tmp_path: Path) -> None:
    """A valid one sends none; what sendmail refuses is a failure."""
    stub = tmp_path / "sendmail"
    stub.write_text(f'#!/bin/sh\ncat > {tmp_path}/sent; echo "$@" > {tmp_path}/arguments\n')
    stub.chmod(0o755)
    sent = {"SENDMAIL": str(stub), "MAIL_TO": "a@b.example"}
    assert run("mail", tmp_path, **sent, CHECKPOINTD_VERDICT="valid").returncode == 0
    assert not (tmp_path / "sent").exists()
    assert run("mail", tmp_path, **sent).returncode == 0
    head, _, body = (tmp_path / "sent").read_text().partition("\n\n")
    assert head.splitlines() == [
        "To: a@b.example",
        "Subject: checkpointd: resnet invalid finite.nan",
        "Message-ID: <abc-7@checkpointd>",
    ]
    assert json.loads(body.splitlines()[1])["reason"] == "finite.nan"
    assert (tmp_path / "arguments").read_text() == "-t -i\n"
    assert run("mail", tmp_path, SENDMAIL="/bin/false").returncode != 0


def stub(home: Path, name: str, code: str) -> dict[str, str]:
    """A module that writes down how it is called."""
    (home / "stubs").mkdir()
    (home / "stubs" / f"{name}.py").write_text(textwrap.dedent(code))
    return {"PYTHONPATH": str(home / "stubs"), "CALLS": str(home / "calls")}


def test_mlflow_gets_a_tag_on_the_run_of_the_checkpoint(tmp_path: Path) -> None:
    """By the id that the job left beside it."""
    (tmp_path / "mlflow_run_id").write_text("run-1\n")
    code = """
        import os
        class MlflowClient:
            def set_tag(self, *arguments):
                print(*arguments, file=open(os.environ["CALLS"], "a"))
    """
    done = run("mlflow", tmp_path, **stub(tmp_path, "mlflow", code))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "calls").read_text() == "run-1 checkpointd.ckpt-3 invalid\n"


def test_wandb_resumes_the_run_of_the_checkpoint(tmp_path: Path) -> None:
    """It never starts one."""
    (tmp_path / "wandb_run_id").write_text("run-1\n")
    code = """
        import contextlib, os, types
        @contextlib.contextmanager
        def init(**arguments):
            run = types.SimpleNamespace(summary={}, tags=("old",))
            yield run
            print(arguments, run.summary, run.tags, file=open(os.environ["CALLS"], "a"))
    """
    done = run("wandb", tmp_path, **stub(tmp_path, "wandb", code))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "calls").read_text() == (
        "{'id': 'run-1', 'resume': 'must'} {'checkpointd/ckpt-3': 'invalid'} "
        "('old', 'checkpointd-invalid')\n"
    )


def test_ray_gets_metrics_of_what_verify_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """1 only where every checkpoint in the directory is valid."""
    command = tmp_path / "checkpointd"
    command.write_text(f"#!/bin/sh\ncat <<X\n{json.dumps(REPORT)}\nX\nexit ${{CODE:-1}}\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    found: dict[str, Any] = {}
    exec(recipe("ray"), found)  # noqa: S102 - the manual's own

    @contextmanager
    def as_directory() -> Iterator[str]:
        yield str(tmp_path)

    checkpoint = SimpleNamespace(as_directory=as_directory)
    assert found["validation_fn"](checkpoint) == {
        "verified": 0.0,
        "verify_reason": "finite.nan",
    }
