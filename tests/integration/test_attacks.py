"""Every known way to harm a user who loads a model: none is ever valid, none has any effect.

The printed table says of each attack what it did to a process that loaded it unsafely, so
that its payload is seen to be live; which check caught it; and what became of it where `safety`
was switched off and code allowed: there the sandbox alone must hold.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
import threading
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from checkpointd.config import WorkerSettings
from checkpointd.core.encode import to_json
from checkpointd.core.verdict import Verdict
from checkpointd.core.verify_settings import VerifySettings
from checkpointd.dispatch import host_cores, spare_pool
from checkpointd.dispatch.local import LocalDispatcher
from tests.helpers.attacks.table import CANARY
from tests.helpers.scan import request_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from checkpointd.core.request import Answer

pytestmark = [pytest.mark.slow(60), pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[2]
SECONDS = 15.0
REACHING = (
    *("lambda", "function", "vocabulary", "torch", "tfsm", "name_", "external", "virtual", "soft"),
    *("loop_changes", "default_of", "local_variable", "restoring", "table_of"),
    *("initializer", "text_graph", "signature", "asset", "zip_climbs", "zip_symlink", "zip_absol"),
)
"""Attacks that reach outside; the others only eat memory, time or a parser."""
SEEN = frozenset(
    {
        *("lambda", "lambda_nested", "lambda_h5", "lambda_hdf5", "lambda_keras_metadata"),
        *("external_storage_h5", "external_link_weights_h5", "virtual_dataset_h5"),
        *("initializer_write_file", "text_graph", "signature_write_file", "signature_save"),
        *("signature_read_file", "signature_restore", "signature_merge", "signature_print_file"),
        *("loop_changes_path", "asset_is_computed", "restoring_writes"),
        *("default_of_no_input", "local_variable_writes", "table_of_parts"),
        *("tfsm_layer", "vocabulary_path", "index_negative_dim", "shape_bomb_3_h5"),
    }
)
"""Attacks that must work where there is no checkpointd: else they test nothing."""
WARNED = frozenset({"lambda_keras_metadata"})
"""Attacks on a way to load that nobody takes here: valid, with a warning that says so."""
HARM = frozenset({"canary", "memory", "hangs", "SIGABRT", "SIGSEGV", "SIGBUS", "SIGKILL"})


@dataclass
class Attacks:
    """The attacks on disk, a server on loopback that they ask, and what an oracle saw."""

    home: Path
    asked: list[str]
    rows: list[dict[str, Any]] = field(default_factory=list)
    seen: dict[str, str] = field(default_factory=dict)

    def effects(self) -> list[str]:
        """Markers made and connections, since they were last forgotten."""
        return sorted(os.listdir(self.home / "markers")) + [f"asked {path}" for path in self.asked]

    def forget(self) -> None:
        """Remove every marker."""
        shutil.rmtree(self.home / "markers")
        (self.home / "markers").mkdir()
        self.asked.clear()


@pytest.fixture(scope="module")
def attacks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Attacks]:
    """All of them, made once, and tried on the libraries that are installed."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        """Remembers who asked."""

        def do_GET(self) -> None:
            """Answer with a line."""
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"a\nb\n")

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        made = Attacks(tmp_path_factory.mktemp("attacks"), asked)
        run("tests.helpers.attacks", str(made.home), str(server.server_address[1])).communicate()
        made.rows = json.loads((made.home / "table.json").read_text())
        made.seen = tried(made)
        yield made
        server.shutdown()


def run(module: str, *arguments: str) -> subprocess.Popen[str]:
    """Start a module of the helpers."""
    return subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def tried(made: Attacks) -> dict[str, str]:
    """What each does to a process that loads it, by name; empty where it is harmless by now."""
    home = str(made.home)
    halves = [run("tests.helpers.attacks.oracle", home, str(part), "2") for part in range(2)]
    output = "".join(half.communicate()[0] for half in halves)
    did = dict(json.loads(line) for line in output.splitlines())
    effects = made.effects()
    made.forget()
    seen = {}
    for name, word in did.items():
        if any(effect.partition(".")[0] == name for effect in effects):
            seen[name] = "writes a file"
        elif f"asked /{name}" in effects:
            seen[name] = "connects"
        else:
            seen[name] = {"canary": "reads a file"}.get(word, word) if word in HARM else ""
    return seen


def verify(
    rows: list[dict[str, Any]],
    made: Attacks,
    scratch: Path,
    *,
    in_spares: bool = False,
    **settings: Any,
) -> list[Answer | None]:
    """Verify all, two at a time, with one dispatcher, and after them the good model.

    In spares it is one at a time, each when a spare is ready, if one can be made at all.
    """

    async def work() -> list[Answer | None]:
        concurrency = 1 if in_spares else 2
        dispatcher = LocalDispatcher(
            WorkerSettings(concurrency=concurrency, timeout=SECONDS), scratch
        )

        async def one(path: str, **options: Any) -> Answer | None:
            try:
                request = request_for(path, **options)
            except AssertionError:
                return None
            if in_spares:
                await wait_for_spare(dispatcher, request.settings)
            return await dispatcher.verify(replace(request, overdue=True))

        try:
            await dispatcher.warm(VerifySettings())
            every = [one(row["path"], **settings) for row in rows]
            found = [await e for e in every] if in_spares else await asyncio.gather(*every)
            for name in ("good.keras", "good.h5"):
                good = await one(str(made.home / "good" / name))
                assert good is not None
                assert good.report is not None, good
                assert good.report.verdict is Verdict.VALID, good.report.message
            return found
        finally:
            await dispatcher.close()

    return asyncio.run(work())


async def wait_for_spare(dispatcher: LocalDispatcher, settings: VerifySettings) -> None:
    """Wait until a spare is ready, for as long as making one may take."""
    dispatcher._spares.prepare(settings)
    making = dispatcher._spares._making
    if making is not None:
        await asyncio.wait({making}, timeout=20)


def summary(answer: Answer | None) -> str:
    """What it came to, in words."""
    if answer is None:
        return "no checkpoint"
    if answer.report is None:
        return str(answer.end)
    return f"{answer.report.verdict} {answer.report.reason}".strip()


def test_no_attack_is_valid_and_none_has_an_effect(
    attacks: Attacks, tmp_path: Path, show: Callable[[str], None]
) -> None:
    """By its own reason each; nothing written, nobody asked, no foreign byte in a report."""
    answers = verify(attacks.rows, attacks, tmp_path)
    caught = [summary(answer) for answer in answers]
    effects = attacks.effects()
    attacks.forget()
    lines = [
        f"{row['name']:<32}{row['cve']:<20}{attacks.seen.get(row['name'], ''):<15}{what}"
        for row, what in zip(attacks.rows, caught, strict=True)
    ]
    live = sum(map(bool, attacks.seen.values()))
    title = f"{len(lines)} attacks, {live} seen to work on who has no checkpointd"
    show("\n".join([title, *lines]))
    assert not effects
    assert {name for name in SEEN if not attacks.seen.get(name)} == set()
    wrong = [
        (row["name"], what, row["reasons"])
        for row, what in zip(attacks.rows, caught, strict=True)
        if what.startswith("valid") != (row["name"] in WARNED)
        or what.partition(" ")[2] not in row["reasons"]
    ]
    output = json.dumps([to_json(a.report) for a in answers if a is not None and a.report])
    assert CANARY[:25].decode() not in output
    assert not wrong


@pytest.mark.parametrize(
    "in_spares",
    [
        pytest.param(False, id="in new processes"),
        pytest.param(
            True,
            id="in spares",
            marks=pytest.mark.skipif("SOAK" not in os.environ, reason="make soak PART=attacks"),
        ),
    ],
)
def test_without_the_check_the_sandbox_alone_holds(
    attacks: Attacks,
    tmp_path: Path,
    show: Callable[[str], None],
    monkeypatch: pytest.MonkeyPatch,
    *,
    in_spares: bool,
) -> None:
    """`safety` switched off, code allowed, weights loaded into a model: still no effect."""
    monkeypatch.setattr(spare_pool, "_IDLE_SECONDS", 0.0)
    monkeypatch.setattr(host_cores, "busy_seconds", lambda: (0, 0.0))
    rows = [row for row in attacks.rows if row["name"].startswith(REACHING)]
    answers = verify(
        rows,
        attacks,
        tmp_path,
        in_spares=in_spares,
        skip=("safety",),
        allow_code=True,
        builder="attacked:model",
        python_path=(str(attacks.home / "code"),),
    )
    effects = attacks.effects()
    attacks.forget()
    lines = [f"{r['name']:<32}{summary(a)}" for r, a in zip(rows, answers, strict=True)]
    show("\n".join(["Without the check `safety`, and with allow_code", *lines]))
    assert not effects
    read = {name for name, what in attacks.seen.items() if what == "reads a file"}
    assert (
        not [  # what the sandbox refused was not shown to run
            row["name"]
            for row, answer in zip(rows, answers, strict=True)
            if row["name"] in read and summary(answer).startswith("valid")
            if not summary(answer).endswith("inference.not_run")
        ]
    )
    output = json.dumps([to_json(a.report) for a in answers if a is not None and a.report])
    assert CANARY[:25].decode() not in output
