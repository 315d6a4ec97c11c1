"""What a plan comes to, as a person reads it."""

from __future__ import annotations

from dataclasses import replace

from checkpointd.ledger import State
from checkpointd.retention import Hold, plan
from checkpointd.retention.public import public_plan
from checkpointd.retention.summary import preview_line, preview_text, summarize
from tests.helpers.ledger import entry
from tests.helpers.plans import NOW, policy, series


def test_a_line_has_how_many_how_much_the_oldest_and_the_newest() -> None:
    """And what `min_age` delays, which a person should not learn an hour later."""
    made = plan(series(8), policy(keep_last=5), NOW)
    assert summarize(made).text == (
        "3 of 8 (30 B), oldest ckpt-1 of 1973-03-03T01:46:40Z, newest ckpt-3 of "
        "1973-03-03T03:46:40Z"
    )
    fresh = plan(series(8), policy(keep_last=7, min_age="1000000000s"), NOW)
    assert summarize(fresh).text.startswith("1 of 8 (10 B), ckpt-1 of 1973")
    assert "; all of them once" in summarize(fresh).text


def test_nothing_is_said_in_a_word() -> None:
    """With how many have no verdict yet: the plan is not complete."""
    made = plan([*series(2), entry(9, state=State.PENDING)], policy(keep_last=5), NOW)
    assert preview_line(made) == "dry-run: would remove nothing of 3; 1 has no verdict yet."
    assert preview_line(plan([], policy(), NOW)) == "Everything is kept, because no rule is set."
    assert preview_line(plan([], policy(mode="off"), NOW)) == "Pruning is off."


def test_a_line_says_why_nothing_happens() -> None:
    """What waits for a person names the command."""
    made = plan(series(8), policy(mode="enforce", keep_last=5), NOW)
    assert preview_line(made).startswith("enforce: removes 3 of 8")
    waiting = replace(made, unconfirmed=(Hold("w", "", "not_confirmed", "It waits.", "Do it."),))
    assert preview_text(waiting).startswith("enforce: would remove 3 of 8")
    assert preview_text(waiting).endswith("On hold (not_confirmed): Do it.")
    held = plan(series(8, state=State.INVALID), policy(mode="enforce", keep_last=5), NOW)
    assert " 1 series is on hold (invalid_streak): The newest 3 are invalid" in preview_text(held)
    assert preview_text(held).endswith(held.holds[0].cure)
    other = replace(held.holds[0], series="b", reason="metric_missing")
    several = replace(held, holds=(*held.holds, other))
    assert preview_text(several).endswith("2 series are on hold: invalid_streak, metric_missing.")
    unread = Hold("w", "net_{}_{}", "numbers_unread", "Two numbers.", "Use a template.")
    for one in (waiting, several):
        both = preview_text(replace(one, holds=(*one.holds, unread)))
        assert both == f"{preview_text(one)} On hold (numbers_unread): Two numbers. Use a template."


def test_a_line_names_what_no_rule_can_ever_remove() -> None:
    """Names with a date alone are a series each: a note, and no hold."""
    entries = [entry(n, path=f"/w/m_2026010{n}.h5", series=f"m_2026010{n}.h5") for n in range(1, 6)]
    made = plan(entries, policy(mode="enforce", keep_last=1), NOW)
    assert made.holds == ()
    assert preview_line(made).startswith("enforce: would remove nothing of 5. The 5 checkpoints ")
    assert "m_{date}.h5" in preview_text(made)
    assert public_plan("w", made)["notes"] == list(made.notes)
