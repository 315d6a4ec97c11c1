"""The status page: what it shows at a glance, and that no name can break it."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checkpointd.observe.status import DaemonStatus
from checkpointd.observe.web.page import headline, render_page, todos
from tests.helpers.observe import NOW, ODD, status, verdict, watch


class Outline(HTMLParser):
    """Counts the tags and collects the words of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.words: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep the tag's name."""
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        """Keep the text."""
        self.words.append(data)

    @property
    def text(self) -> str:
        """All words of the page, in one line."""
        return " ".join(" ".join(self.words).split())


def tone(state: DaemonStatus) -> str:
    """What the lamp at the top shows."""
    return headline(state, todos(state, NOW)).tone


HOLD = {"series": "ckpt-{}", "reason": "invalid_streak", "cure": "Look at the job."}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "good"),
        ({"ready": False, "problems": []}, "wait"),
        ({"watches": []}, "warn"),
        ({"config_error": "line 3: unknown key"}, "warn"),
        ({"watches": [watch(holds=[HOLD])]}, "warn"),
        ({"attention": [verdict(verdict="invalid", reason="finite.nan")]}, "warn"),
        ({"attention": [verdict(verdict="invalid", at=NOW - 90000)]}, "good"),
        ({"watches": [watch(up=False, message="Stale file handle.")]}, "bad"),
        ({"healthy": False, "problems": ["The supervisor has stood still for 5 min."]}, "bad"),
    ],
)
def test_the_lamp_shows_the_gravest_thing(changes: dict[str, Any], expected: str) -> None:
    """Green, blue, amber or red: one glance is enough."""
    assert tone(status(**changes)) == expected


def test_what_to_do_names_the_cure() -> None:
    """A hold, an invalid checkpoint and a broken config each come with what helps."""
    state = status(
        config_error="line 3: unknown key",
        watches=[watch(holds=[HOLD])],
        attention=[verdict(verdict="invalid", reason="finite.nan", message="12 NaN")],
    )
    text = Outline(render_page(state, NOW)).text
    assert "Look at the job." in text
    assert "lower the learning rate" in text
    assert "checkpointd config check" in text


def test_a_watch_that_is_down_is_reported_once() -> None:
    """The sentences of the health and of the watch would repeat each other."""
    state = status(
        watches=[watch(up=False, message="Stale file handle.")],
        problems=["Watch resnet is down: Stale file handle."],
    )
    assert len(todos(state, NOW)) == 1


def test_counts_queue_and_verdicts_are_on_the_page() -> None:
    """What the page is for."""
    state = status(
        queue={"length": 4, "oldest_at": NOW - 95}, last_verdicts=[verdict("/srv/ckpt-7")]
    )
    text = Outline(render_page(state, NOW)).text
    assert "12 valid" in text
    assert "4 waiting, the oldest since 2 min ago" in text
    assert "/srv/ckpt-7" in text
    assert "18.0 GiB kept" in text


@pytest.mark.parametrize(
    "state",
    [
        {},
        {"watches": [{}], "last_verdicts": [{}], "workers": [{}]},
        {"healthy": True, "ready": True, "watches": [{"up": True, "holds": [{}]}]},
        {"last_verdicts": [{"verdict": "invalid", "at": NOW}], "queue": {"length": 1}},
    ],
)
def test_a_state_with_gaps_still_gives_a_page(state: dict[str, Any]) -> None:
    """What is not known yet has its default."""
    page = render_page(DaemonStatus.from_public(state), NOW)
    assert "checkpointd" in Outline(page).text


def test_it_needs_no_script_and_renews_itself() -> None:
    """It works in any browser, with scripts off."""
    html = render_page(status(), NOW)
    assert "script" not in Outline(html).tags
    assert '<meta http-equiv="refresh"' in html
    assert "style=" not in html


def test_an_odd_path_is_shown_escaped() -> None:
    """Markup is text, and what cannot be seen is written out."""
    state = status(last_verdicts=[verdict(ODD, verdict="invalid", message=ODD, reason=ODD)])
    html = render_page(state, NOW)
    html.encode("utf-8")
    outline = Outline(html)
    assert "script" not in outline.tags
    assert r"a\xff\n<script>" in outline.text
    assert "\x1b" not in html
    assert "\u202e" not in html


@given(name=st.text(st.characters(exclude_categories=()), max_size=40))
@settings(deadline=None)
def test_no_name_changes_the_structure_of_the_page(name: str) -> None:
    """Wherever a name stands, the tags stay the same and the page can be sent."""

    def page(text: str) -> str:
        return render_page(
            status(
                config_path=text,
                watches=[watch("w", path=text, holds=[dict.fromkeys(HOLD, "x" + text)])],
                last_verdicts=[verdict(text, message="x" + text)],
            ),
            NOW,
        )

    page(name).encode("utf-8")
    assert Outline(page(name)).tags == Outline(page("plain")).tags


def test_eight_good_verdicts_do_not_hide_a_bad_checkpoint() -> None:
    """What is invalid now is listed, however many valid ones came after it."""
    state = status(
        last_verdicts=[verdict(f"/srv/ckpt-{n}") for n in range(8)],
        attention=[verdict("/srv/bad", verdict="invalid", reason="finite.nan", message="12 NaN")],
        watches=[{"name": "a", "up": True, "counts": {"invalid": 9}}],
    )
    listed = [todo.what for todo in todos(state, NOW)]
    assert any("/srv/bad" in what for what in listed)
    assert any("8 more" in what for what in listed)
    assert headline(state, todos(state, NOW)).tone == "warn"
