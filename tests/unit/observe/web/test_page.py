"""The status page: what it shows at a glance, and that no name can break it."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checkpointd.observe.series_status import NextRemoval
from checkpointd.observe.status import DaemonStatus
from checkpointd.observe.web.page import MAX_ROWS, render_all_series, render_page
from checkpointd.observe.web.templating import CONTENT_SECURITY_POLICY
from tests.helpers.observe import NOW, ODD, bad_series, series, status, verdict, watch
from tests.helpers.pages import Outline


def test_counts_queue_and_verdicts_are_on_the_page() -> None:
    """What the page is for."""
    state = status(
        queue={"length": 4, "oldest_at": NOW - 95}, last_verdicts=[verdict("/srv/ckpt-7")]
    )
    text = Outline(render_page(state, [], NOW)).text
    assert "12 valid" in text
    assert "4 waiting, the oldest since 2 min ago" in text
    assert "/srv/ckpt-7" in text
    assert "18.0 GiB kept" in text


def test_what_waits_for_its_copy_is_on_the_page() -> None:
    """How many, and since when; or that nothing does."""
    late = {"to": "s3://b/runs", "waiting": 3, "oldest_at": NOW - 7200}
    state = status(
        watches=[watch("a", replication=late), watch("b", replication={"to": "s3://b/b"})]
    )
    text = Outline(render_page(state, [], NOW)).text
    assert "3 not copied yet, the first since 2 h ago" in text
    assert text.count("all valid ones copied") == 1


def test_a_row_answers_what_is_newest_what_is_good_and_what_goes_next() -> None:
    """One line for each series, the worst first."""
    removal = NextRemoval(9, "/srv/runs/resnet/ckpt-9", 991, NOW - 540, 3, 2**20, False, "no rule")
    text = Outline(
        render_page(status(), [series("good-{}", next_removal=removal), bad_series()], NOW)
    ).text
    bad, good = text.index("resnet ckpt-{} invalid"), text.index("resnet good-{} valid")
    assert bad < good
    assert "step 999 1 min ago step 997 3 min ago 2 min ago (2)" in text[bad:good]
    assert "step 991 and 2 more 3.0 MiB in 3" in text[good:]


def test_a_disk_shows_how_full_it_is_and_when_it_will_be_full() -> None:
    """Watches on one file system share a line."""
    filesystem = {
        "device": "0:7",
        "size_bytes": 1000 * 1024**3,
        "full_at": NOW + 7200,
        "observed_seconds": 2400.0,
        "next_saves_fit": True,
    }
    state = status(watches=[watch("a", filesystem=filesystem), watch("b", filesystem=filesystem)])
    text = Outline(render_page(state, [], NOW)).text
    assert "a, b 410.0 GiB free of 1000.0 GiB 59 % used." in text
    assert "Full in 2 h, at 2027-01-15 10:00 UTC, at the rate of the last 40 min." in text


def test_a_hundred_series_are_a_short_page_and_a_long_one() -> None:
    """The first page lists the worst; the other one all."""
    many = [series(f"s{n}-{{}}") for n in range(100)] + [bad_series()]
    first = render_page(status(), many, NOW)
    assert Outline(first).tags.count("tr") == MAX_ROWS + 1
    assert "51 more series" in Outline(first).text
    assert Outline(render_all_series(status(), many, NOW)).tags.count("tr") == 102


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
    page = render_page(DaemonStatus.from_public(state), [], NOW)
    assert "checkpointd" in Outline(page).text


def test_it_is_whole_without_its_script_and_renews_itself_either_way() -> None:
    """One script of ours, that the policy allows by its hash; no style that it forbids."""
    html = render_page(status(), [series()], NOW)
    assert Outline(html).tags.count("script") == 1
    assert '<noscript><meta http-equiv="refresh"' in html
    assert "style=" not in html
    script = html.partition("<script>")[2].partition("</script>")[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in CONTENT_SECURITY_POLICY
    assert "unsafe" not in CONTENT_SECURITY_POLICY


def test_an_odd_path_is_shown_escaped() -> None:
    """Markup is text, and what cannot be seen is written out."""
    state = status(last_verdicts=[verdict(ODD, verdict="invalid", message=ODD, reason=ODD)])
    html = render_page(state, [bad_series(ODD, ODD, message=ODD, path=ODD)], NOW)
    html.encode("utf-8")
    outline = Outline(html)
    assert outline.tags.count("script") == 1
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
                watches=[
                    watch(
                        "w",
                        path=text,
                        holds=[dict.fromkeys(("series", "reason", "cure"), "x" + text)],
                    )
                ],
                last_verdicts=[verdict(text, message="x" + text)],
            ),
            [bad_series(f"s{text}", text, message=f"x{text}", path=f"/{text}")],
            NOW,
        )

    page(name).encode("utf-8")
    assert Outline(page(name)).tags == Outline(page("plain")).tags
