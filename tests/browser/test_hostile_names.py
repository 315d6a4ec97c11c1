"""Names that are markup, escapes and worse, from a real disk to a real browser and everywhere."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from typing import TYPE_CHECKING

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from checkpointd.core.text import metric_label, printable
from tests.helpers.bundles import VALUE, write_bundle
from tests.helpers.daemon import Daemon, daemon_in, eventually
from tests.helpers.files import flip

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_CHROMIUM = shutil.which("chromium")
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--enable-logging=stderr",
    "--timeout=5000",
)

NAMES = (
    "<script>document.title='owned'<",
    "<img src=x onerror=document.title='owned'>",
    "\"'><svg onload=document.title='owned'>",
    "{{7*7}}{% raw %}${7*7}",
    "&lt;b&gt;&quot;",
    "a\nb\r\nlevel=critical event=forged",
    "\x1b]0;owned\x07\x1b[2J\x1b[31mred",
    "\u202egpj.exe\u2066",
    "tab\tnul\\0 back\\slash \"quoted\" 'single'",
    "\udcff\udcfe latin-1",
    "javascript:alert(1)",
    "%0d%0aSet-Cookie: a=b",
    "<!--",
    "textarea",
)
"""Names of directories, one checkpoint each; none may hold a slash."""

_TENSOR = "</title></textarea><script>document.title='owned'</script>\x1b[2J"


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon that has found a spoiled checkpoint in a directory of each name."""
    home = tmp_path_factory.mktemp("hostile")
    with daemon_in(home) as made:
        for name in NAMES:
            _spoiled(made.runs / name)
        made.start()
        eventually("all verdicts", lambda: len(rows(made)) == len(NAMES))
        eventually("the page to know", lambda: len(made.status()["last_verdicts"]) == 8)
        yield made


def _spoiled(directory: Path) -> None:
    """Write a bundle whose first tensor does not match its checksum, of a hostile name too."""
    directory.mkdir()
    prefix = directory / "ckpt-1"
    write_bundle(prefix, {f"{_TENSOR}{VALUE}": np.ones(4, "float32")})
    flip(prefix.with_name("ckpt-1.data-00000-of-00001"), 3)


def rows(daemon: Daemon) -> list[dict[str, object]]:
    """Those that have a verdict."""
    known = daemon.get("/api/v1/checkpoints?limit=1000")
    return [row for row in known if row["state"] == "invalid"]


def chromium(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a browser with a new profile."""
    assert _CHROMIUM is not None
    return subprocess.run(
        [_CHROMIUM, *_FLAGS, f"--user-data-dir={tmp_path / 'profile'}", *arguments],
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )


@pytest.mark.skipif(_CHROMIUM is None, reason="no chromium (Debian): NOT checked")
def test_no_name_runs_as_a_script_in_a_browser(daemon: Daemon, tmp_path: Path) -> None:
    """Nothing but our own markup is there, and nothing of it breaks our own policy."""
    done = chromium(tmp_path, "--dump-dom", f"{daemon.url}/")
    dom = done.stdout
    assert "urgent problem · checkpointd</title>" in dom
    assert dom.count("onerror=document.title") + dom.count("gpj.exe") >= 1
    assert re.findall(r"<(?:img|textarea|iframe)\b", dom) == []
    assert re.findall(r"<(?:script|svg)\b(?! class=\"bar\")", dom) == ["<script"]
    assert [line for line in done.stderr.splitlines() if "CONSOLE" in line] == []


@pytest.mark.skipif(_CHROMIUM is None, reason="no chromium (Debian): NOT checked")
def test_a_browser_would_tell_what_breaks_the_policy(tmp_path: Path) -> None:
    """So the silence above means something."""
    page = tmp_path / "page.html"
    page.write_text(
        "<meta http-equiv=Content-Security-Policy content=\"default-src 'none'\">"
        "<script>document.title='owned'</script>"
    )
    done = chromium(tmp_path, "--dump-dom", page.as_uri())
    assert "CONSOLE" in done.stderr
    assert "Content Security Policy" in done.stderr


def test_the_api_gives_each_name_back_byte_for_byte(daemon: Daemon) -> None:
    """As JSON in ASCII, that no browser takes for markup."""
    found = {str(row["path"]) for row in rows(daemon)}
    assert found == {str(daemon.runs / name / "ckpt-1") for name in NAMES}
    assert daemon.text("/api/v1/checkpoints").isascii()


def test_the_exposition_is_read_by_prometheus_own_parser(daemon: Daemon) -> None:
    """Each series of a name is one label value, and no line is another's."""
    text = daemon.text("/metrics")
    series = {
        sample.labels["series"]
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "checkpointd_last_seen_timestamp_seconds"
    }
    assert series >= {metric_label(f"{n}/ckpt-{{}}") for n in NAMES if "{" not in n}
    assert len(series) == len(NAMES)
    assert all(line.isprintable() for line in text.split("\n"))


def test_no_name_forges_a_line_of_the_log(daemon: Daemon) -> None:
    """Each line is an object of ours, in ASCII."""
    lines = daemon.log.splitlines()
    assert daemon.log.isascii()
    assert all({"level", "event"} <= set(json.loads(line)) for line in lines)
    assert not any(json.loads(line)["event"].startswith("forged") for line in lines)


@pytest.mark.parametrize(
    "command",
    [
        ("list", "--all"),
        ("status",),
        ("prune",),
        ("show", "{path}"),
        ("inspect", "{path}"),
        ("latest", "runs"),
    ],
)
def test_no_name_reaches_the_terminal_as_an_escape(
    daemon: Daemon, command: tuple[str, ...]
) -> None:
    """What is printed for people is printable, whatever a file is called."""
    path = daemon.runs / NAMES[6] / "ckpt-1"
    done = daemon.cli(*(part.replace("{path}", str(path)) for part in command))
    printed = done.stdout + done.stderr
    assert printed
    assert "Traceback" not in printed
    assert "bug in checkpointd" not in printed
    for line in printed.splitlines():
        assert printable(line) == line
