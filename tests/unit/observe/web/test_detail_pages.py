"""The pages of one series and of one checkpoint."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from checkpointd.observe.series_detail import SeriesDetail
from checkpointd.observe.web.detail_pages import MAX_LISTED, render_checkpoint, render_series
from tests.helpers.observe import NOW, ODD, bad_series, points, series
from tests.helpers.pages import DETAIL, Outline


def test_a_series_shows_its_history() -> None:
    """Verdicts, curves and the last saves, with what is wrong now."""
    detail = SeriesDetail(bad_series(), points(*"vvvii", weight_norm=2.0))
    html = render_series(detail, NOW)
    outline = Outline(html)
    assert "resnet / ckpt-{} is invalid" in outline.text
    assert "lower the learning rate" in outline.text
    assert "Newest valid step 997" in outline.text
    assert outline.tags.count("svg") == 4
    assert outline.tags.count("rect") == 5
    assert "5 saves: 3 valid, 2 invalid, 0 inconclusive" in html
    assert "style=" not in html


def test_a_series_without_a_verdict_has_a_page() -> None:
    """Nothing is drawn, and nothing fails."""
    assert "No verdict yet." in Outline(render_series(SeriesDetail(series(), ()), NOW)).text


def test_a_long_history_is_listed_in_part() -> None:
    """The timeline has all of it."""
    outline = Outline(render_series(SeriesDetail(series(), points(*"v" * 100)), NOW))
    assert outline.tags.count("tr") == MAX_LISTED + 1
    assert outline.tags.count("rect") == 100


def test_a_checkpoint_shows_every_check_its_tensors_and_its_neighbours() -> None:
    """What is known of it, and what helps."""
    text = Outline(render_checkpoint(DETAIL, NOW)).text
    for expected in (
        'finite fail finite.nan 12 of 40 are NaN. Details nan 12 tensors ["dense/kernel"]',
        "lower the learning rate",
        "dense/kernel float32 4 2.5 1",
        "3 more are not listed",
        "Before step 6 valid",
        "After: none",
        "loss 0.25",
        "one line another",
    ):
        assert expected in text, expected


def test_a_checkpoint_that_has_not_been_verified_has_a_page() -> None:
    """It is being written, or waits."""
    unknown = dict.fromkeys(("checks", "facts", "tensors", "previous", "environment", "stderr"))
    known = DETAIL | unknown | {"state": "pending", "verified_at": None, "reason": "", "step": None}
    assert "It has not been verified yet." in Outline(render_checkpoint(known, NOW)).text


@given(name=st.text(st.characters(exclude_categories=()), max_size=40))
@settings(deadline=None)
def test_no_name_changes_the_structure_of_a_page(name: str) -> None:
    """Wherever it stands: paths, series, tensors, checks, metrics, environment."""

    def tags(text: str) -> list[list[str]]:
        x = f"x{text}"
        one = DETAIL | dict.fromkeys(("path", "watch", "series", "message", "format"), x)
        one |= {
            "metrics": {x: 1.0},
            "environment": {x: x},
            "stderr": "x",
            "facts": {"writer": x, "signatures": {x: [[x, x, [1]]]}},
            "tensors": [{"name": x, "dtype": x, "shape": [1], "norm": 1.0, "rms": 1.0}],
            "checks": [DETAIL["checks"][0] | {"message": x, "details": {x: x}}],
        }
        history = points("v", "i", path=x, message=x, metrics={x: 1.0})
        pages = (
            render_checkpoint(one, NOW),
            render_series(SeriesDetail(bad_series(x, x, message=x, path=x), history), NOW),
        )
        return [Outline(page.encode("utf-8").decode()).tags for page in pages]

    assert tags(name) == tags("plain")


def test_an_odd_path_is_shown_escaped() -> None:
    """Markup is text, and what cannot be seen is written out."""
    html = render_checkpoint(DETAIL | {"path": ODD, "stderr": ODD}, NOW)
    html += render_series(SeriesDetail(bad_series(ODD), points("v", "v", path=ODD)), NOW)
    assert Outline(html).tags.count("script") == 2
    assert "\x1b" not in html
    assert "\u202e" not in html
