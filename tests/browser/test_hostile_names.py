"""Names that are markup, escapes and worse, from a real disk to a real browser and everywhere."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from checkpointd.core.text import metric_label, printable
from tests.helpers.browser import CHROMIUM, VIEWS, Browser
from tests.helpers.bundles import VALUE, write_bundle
from tests.helpers.daemon import Daemon, daemon_in, eventually
from tests.helpers.files import flip

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

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

_FOREIGN = "img, textarea, iframe, [onload], [onerror], svg:not(.bar, .timeline, .curve)"
"""What our own pages do not have."""

needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no chromium (Debian): NOT checked")

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


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One browser for all pages."""
    started = Browser(tmp_path_factory.mktemp("profile"))
    yield started
    started.close()


def pages(daemon: Daemon) -> list[str]:
    """Every kind of page, those of one series and one checkpoint of each hostile name too."""
    found = daemon.get("/api/v1/series")
    return [
        "/",
        "/series",
        *(f"/series/{one['id']}" for one in found),
        *(f"/checkpoints/{one['newest']['id']}" for one in found),
    ]


@needs_chromium
def test_no_name_runs_as_a_script_in_a_browser(daemon: Daemon, browser: Browser) -> None:
    """Nothing but our own markup is there, and nothing of it breaks our own policy."""
    seen = 0
    for path in pages(daemon):
        browser.messages.clear()
        browser.open(f"{daemon.url}{path}")
        assert browser.value("document.title").endswith(" · checkpointd")
        assert browser.value(f"document.querySelectorAll({_FOREIGN!r}).length") == 0, path
        assert browser.value("document.querySelectorAll('script, h1').length") == 2, path
        assert browser.messages == [], path
        text = browser.value("document.body.innerText")
        seen += text.count("onerror=document.title") + text.count("gpj.exe")
    assert seen > 4


@needs_chromium
def test_a_browser_would_report_what_breaks_the_policy(browser: Browser, tmp_path: Path) -> None:
    """So the silence above means something."""
    page = tmp_path / "page.html"
    page.write_text(
        "<meta http-equiv=Content-Security-Policy content=\"default-src 'none'\">"
        "<script>document.title='owned'</script>"
    )
    browser.messages.clear()
    browser.open(page.as_uri())
    assert any("Content Security Policy" in message for message in browser.messages)


@needs_chromium
def test_every_page_can_be_read_by_everybody(
    daemon: Daemon, browser: Browser, tmp_path: Path
) -> None:
    """Wide and narrow, light and dark: axe-core finds nothing, and nothing is cut off."""
    known = pages(daemon)
    pictures = set()
    for path in (known[0], known[1], known[2], known[-1]):
        for width, scheme in VIEWS:
            browser.open(f"{daemon.url}{path}", width, scheme)
            assert browser.violations() == [], (path, width, scheme)
            assert browser.value("document.documentElement.scrollWidth") <= width, path
            pictures.add(browser.screenshot(tmp_path / "page.png"))
    assert len(pictures) == 8


@needs_chromium
def test_a_page_follows_the_daemon_without_being_loaded_again(
    daemon: Daemon, browser: Browser
) -> None:
    """A valid checkpoint ends the alarm of its series, whose row moves; the focus goes with it."""
    browser.open(f"{daemon.url}/")
    browser.press_tab()
    assert browser.value("document.activeElement.className") == "skip"
    name = NAMES[-1]
    row = f"[...document.querySelectorAll('tr')].find(r => r.innerText.includes({name!r}))"
    browser.value(f"window.same = true; {row}.querySelector('a').focus()")
    focus = "document.activeElement.getAttribute('href')"
    focused = browser.value(focus)
    assert focused.startswith("/series/")
    state = f"{row}.querySelector('.tag').innerText"
    assert browser.value(state) == "invalid"
    write_bundle(daemon.runs / name / "ckpt-2", {VALUE: np.ones(4, "float32")})
    eventually("the page to follow", lambda: browser.value(state) != "invalid")
    assert browser.value("window.same") is True
    assert browser.value(focus) == focused
    lost = "document.querySelector('#lost:not([hidden])')?.innerText || ''"
    assert browser.value(lost) == ""
    browser.value("window.real = window.fetch; window.fetch = () => Promise.reject(); 0")
    assert eventually("the page to notice", lambda: browser.value(lost)).startswith("No answer")
    browser.value("window.fetch = window.real; 0")
    eventually("the page to recover", lambda: not browser.value(lost))


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
