"""What a policy keeps and removes, and that doubt never removes anything."""

from __future__ import annotations

import pytest

from checkpointd.config import RetentionSettings
from checkpointd.core.format_specs import Format
from checkpointd.ledger import State
from checkpointd.retention import References, plan
from tests.helpers.ledger import entry
from tests.helpers.plans import HOUR, NOW, kept, policy, reasons_for, series


def test_without_a_rule_everything_is_kept() -> None:
    """An empty policy is no order to delete."""
    planned = plan(series(5), policy(quarantine_ttl="1s"), NOW)
    assert kept(planned) == {1, 2, 3, 4, 5}
    assert "no keep_ rule is configured" in reasons_for(planned, 1)


def test_keep_last_keeps_the_newest_and_says_why() -> None:
    """Every keep and every remove has its reason."""
    planned = plan(series(5), policy(keep_last=2), NOW)
    assert kept(planned) == {4, 5}
    assert [d.entry.id for d in planned.removals] == [1, 2, 3]
    assert "number 2 of the 2 newest valid ones (keep_last = 2)" in reasons_for(planned, 4)
    assert reasons_for(planned, 1) == "it is valid, and not kept by keep_last"
    assert {d.rule for d in planned.removals} == {"unclaimed"}
    assert planned.holds == ()


def test_what_changed_on_disk_fills_no_slot_and_stays() -> None:
    """A verdict on other bytes than those that lie there is worth nothing."""
    changed = frozenset({"/w/ckpt-4", "/w/ckpt-5"})
    planned = plan(series(6), policy(keep_last=2), NOW, changed=changed)
    assert kept(planned) == {3, 4, 5, 6}
    assert (
        reasons_for(planned, 4) == "it changed on disk since it was verified; it is verified again"
    )
    assert set(planned.suspects) == changed
    floor = plan(series(6), policy(keep_last=1, keep_min_valid=3), NOW, changed=changed)
    assert kept(floor) == {2, 3, 4, 5, 6}


def test_what_was_touched_fills_no_slot_and_stays() -> None:
    """The same size and time is not the same content: it is compared before it counts."""
    touched = frozenset({"/w/ckpt-4", "/w/ckpt-5"})
    planned = plan(series(6), policy(keep_last=2), NOW, touched=touched)
    assert kept(planned) == {3, 4, 5, 6}
    assert "its content is compared first" in reasons_for(planned, 4)
    assert planned.suspects == ()


def test_rules_are_combined_by_or() -> None:
    """A checkpoint stays if any rule wants it."""
    planned = plan(series(10), policy(keep_last=1, keep_every_n_steps=4), NOW)
    assert kept(planned) == {1, 4, 8, 10}


def test_only_what_has_shown_what_is_required_fills_a_slot() -> None:
    """What has not shown it is kept, but counts for nothing."""
    entries = [*series(3), entry(4, step=4, saved_at=NOW - 1, shown=("intact",))]
    planned = plan(entries, policy(keep_last=1, require=("intact", "loads")), NOW)
    assert kept(planned) == {3, 4}
    assert "has not shown what `require` asks for: loads" not in reasons_for(planned, 3)
    older = [entry(9, step=0, saved_at=NOW - 50 * HOUR, shown=("intact",)), *series(3)]
    planned = plan(older, policy(keep_last=1, require=("intact", "loads")), NOW)
    assert kept(planned) == {9, 3}
    assert "asks for: loads" in reasons_for(planned, 9)


@pytest.mark.parametrize(
    "state",
    [
        State.WRITING,
        State.PENDING,
        State.INVALID,
        State.INCONCLUSIVE,
        State.UNKNOWN,
        State.SUPERSEDED,
    ],
)
def test_what_has_no_good_verdict_is_kept(state: State) -> None:
    """Nothing is deleted because of doubt, and it takes no slot from a valid one."""
    odd = entry(9, state=state, step=0, saved_at=NOW - 500 * HOUR)
    planned = plan([odd, *series(4)], policy(keep_last=2), NOW)
    assert kept(planned) == {9, 3, 4}
    assert len(reasons_for(planned, 9)) > 10


def test_what_is_gone_is_not_planned() -> None:
    """The ledger remembers what is no longer on disk; retention has no say in it."""
    gone = [entry(8, state=State.GONE), entry(9, state=State.TRASHED)]
    assert kept(plan([*gone, *series(1)], policy(keep_last=1), NOW)) == {1}


def test_the_newest_stays_whatever_its_verdict() -> None:
    """Someone may be looking at it right now."""
    newest = entry(9, state=State.INVALID, step=9, saved_at=NOW - 900)
    planned = plan([*series(3), newest], policy(keep_last=1, quarantine_ttl="1s"), NOW)
    assert 9 in kept(planned)
    assert "newest of its series" in reasons_for(planned, 9)


def test_invalid_ones_go_after_the_quarantine_and_never_before() -> None:
    """Without a quarantine_ttl they stay for ever, with one until it is over."""
    old = entry(8, state=State.INVALID, step=0, saved_at=NOW - 100 * HOUR)
    late = entry(9, state=State.INVALID, step=0, saved_at=NOW - 99 * HOUR, seen=NOW - HOUR)
    entries = [old, late, *series(3)]
    planned = plan(entries, policy(keep_last=3, quarantine_ttl="50h"), NOW)
    assert kept(planned) == {9, 1, 2, 3}
    assert planned.removals[0].rule == "quarantine_ttl"
    assert kept(plan(entries, policy(keep_last=3), NOW)) == {8, 9, 1, 2, 3}


def test_the_ttl_removes_what_another_rule_keeps() -> None:
    """It is an upper bound; the floor, the newest and pins outrank it."""
    entries = [entry(9, step=0, saved_at=NOW - 50 * HOUR, pinned=True), *series(5)]
    planned = plan(entries, policy(keep_last=5, ttl="150m"), NOW)
    assert kept(planned) == {9, 4, 5}
    assert reasons_for(planned, 3) == "it is older than ttl = 2h30m"
    assert {d.rule for d in planned.removals} == {"ttl"}
    late = NOW + 1000 * HOUR
    assert kept(plan(entries, policy(keep_last=5, ttl="150m", keep_min_valid=2), late)) == {9, 4, 5}


def test_a_ttl_alone_removes_only_what_is_too_old() -> None:
    """Without a keep_ rule what is younger stays."""
    planned = plan(series(5), policy(ttl="150m"), NOW)
    assert kept(planned) == {3, 4, 5} - {3}
    expected = "no keep_ rule is configured, and ttl does not remove it yet"
    assert reasons_for(planned, 4) == expected


def test_what_was_first_seen_a_moment_ago_is_not_removed() -> None:
    """Also what was copied back with its old time, and what is invalid."""
    fresh = entry(9, step=0, saved_at=NOW - 99 * HOUR, seen=NOW - HOUR / 2)
    broken = entry(8, step=0, state=State.INVALID, saved_at=NOW - 99 * HOUR, seen=NOW - HOUR / 2)
    rules = {"keep_last": 1, "quarantine_ttl": "1s", "ttl": "2h"}
    planned = plan([fresh, broken, *series(3)], policy(**rules), NOW)
    assert kept(planned) == {3, 8, 9}
    for identity in (8, 9):
        assert "it was first seen less than 1h ago (min_age)" in reasons_for(planned, identity)
    assert kept(plan([fresh, *series(3)], policy(**rules, min_age="30m"), NOW)) == {3}
    before = NOW - 2 * HOUR
    assert 9 in kept(plan([fresh, *series(3)], policy(**rules), before))


def test_several_metrics_keep_the_best_by_each() -> None:
    """And the plan names the rule once."""
    entries = [
        entry(i, step=i, saved_at=NOW - 100 + i, metrics={"loss": loss, "acc": acc})
        for i, (loss, acc) in enumerate([(0.1, 0.5), (0.4, 0.9), (0.3, 0.4), (0.5, 0.3)])
    ]
    best = [
        {"n": 1, "metric": "loss", "mode": "min"},
        {"n": 1, "metric": "acc", "mode": "max"},
    ]
    planned = plan(entries, policy(keep_best=best), NOW)
    assert kept(planned) == {0, 1, 3}
    assert reasons_for(planned, 2) == "it is valid, and not kept by keep_best"


def test_pins_are_kept() -> None:
    """A pin outranks every rule."""
    entries = [entry(9, step=0, saved_at=NOW - 50 * HOUR, pinned=True), *series(3)]
    planned = plan(entries, policy(keep_last=1), NOW)
    assert kept(planned) == {9, 3}
    assert reasons_for(planned, 9) == "it is pinned"


@pytest.mark.parametrize("name", ["/w/ckpt-1", "/w/ckpt-1/assets/x", "/w/ckpt-1.index"])
def test_what_is_named_is_kept(name: str) -> None:
    """A reference may name the checkpoint, something inside it, or one of its files."""
    first, *rest = series(4)
    if name.endswith(".index"):
        prefixed = tuple(
            m.__class__(".index", m.device, m.inode, m.size, m.mtime_ns, m.ctime_ns)
            for m in first.generation.members
        )
        first = entry(1, step=1, saved_at=first.saved_at)
        object.__setattr__(first.generation, "members", prefixed)
    references = References(frozenset({name, "/w/ckpt-10"}))
    planned = plan([first, *rest], policy(keep_last=1), NOW, references)
    assert kept(planned) == {1, 4}


def test_what_a_job_lists_is_kept_unless_the_policy_says_otherwise() -> None:
    """The reason names the key that changes it."""
    listed = References(listed=frozenset({"/w/ckpt-1", "/w/ckpt-2"}))
    planned = plan(series(4), policy(keep_last=1), NOW, listed)
    assert kept(planned) == {1, 2, 4}
    assert "`prune_listed = true` is not set" in reasons_for(planned, 1)
    assert kept(plan(series(4), policy(keep_last=1, prune_listed=True), NOW, listed)) == {4}


@pytest.mark.parametrize(("directory", "is_kept"), [("/w/1", True), ("/w", False)])
def test_a_named_directory_is_a_save_if_it_holds_only_one(directory: str, is_kept: bool) -> None:
    """`best` -> `1` names the model in it; a link to the directory of the run names none."""
    entries = [
        entry(i, path=f"/w/{i}/model.keras", step=i, saved_at=NOW - (9 - i) * HOUR)
        for i in range(1, 5)
    ]
    planned = plan(entries, policy(keep_last=1), NOW, References(frozenset({directory})))
    assert kept(planned) == ({1, 4} if is_kept else {4})


def test_the_highest_version_stays_whatever_its_time_is() -> None:
    """TensorFlow Serving goes by the number; if it cannot load that, by the one before."""
    copied = {12: 1, 3: 2, 11: 3, 2: 4, 1: 5}
    entries = [
        entry(
            version,
            path=f"/w/{version}",
            kind=Format.SAVEDMODEL,
            step=None,
            saved_at=NOW - (9 - order) * HOUR,
            state=State.INCONCLUSIVE if version == 12 else State.VALID,
        )
        for version, order in copied.items()
    ]
    assert plan(entries, policy(keep_last=1), NOW).removals == ()
    planned = plan(entries, policy(keep_last=1, order="save_time"), NOW)
    assert kept(planned) == {12, 11, 1}
    assert "highest version" in reasons_for(planned, 11)
    assert "highest version" in reasons_for(planned, 12)


def test_a_directory_with_other_checkpoints_in_it_is_kept() -> None:
    """Moving it would take them along."""
    inner = entry(9, path="/w/ckpt-1/inner.h5", series="other")
    assert kept(plan([*series(3), inner], policy(keep_last=1), NOW)) == {1, 3, 9}


@pytest.mark.parametrize(
    ("directory", "is_kept"),
    [
        ("keep", True),
        ("run/Archive/a", True),
        ("milestones", True),
        ("do_not_delete", True),
        ("run_7_KEEP", True),
        ("exp3 (do not delete)", True),
        ("keepalive", False),
        ("keep_prob_0.5", False),
        ("run", False),
    ],
)
def test_what_was_put_into_a_directory_to_stay_is_kept(directory: str, is_kept: bool) -> None:
    """A person who moves a checkpoint to `keep/` does not want the older ones there to go."""
    label = f"{directory}/ckpt-{{}}"
    entries = [
        entry(i, series=label, path=f"/w/{directory}/ckpt-{i}", step=i, saved_at=NOW - 10 + i)
        for i in range(1, 5)
    ]
    planned = plan(entries, policy(keep_last=2), NOW)
    assert kept(planned) == ({1, 2, 3, 4} if is_kept else {3, 4})
    assert ("put there to stay" in reasons_for(planned, 1)) is is_kept


@pytest.mark.parametrize(
    ("label", "is_kept"),
    [
        ("epoch_{}_keep.keras", True),
        ("KEEP_epoch_{}.weights.h5", True),
        ("ckpt-{}.keep", True),
        ("epoch_{}_DO_NOT_DELETE.keras", True),
        ("dont_delete-{}-paper.h5", True),
        ("epoch_{}_good.keras", True),
        ("ckpt-{} (submitted)", True),
        ("epoch_{}.keras", False),
        ("good_{}.keras", False),
        ("paper/epoch_{}.keras", False),
        ("keep_prob_0.5_epoch_{}.keras", False),
        ("dropout_keep0.5_epoch_{}.keras", False),
        ("keeper-net-epoch_{}.keras", False),
        ("best_{}.keras", False),
    ],
)
def test_what_is_called_to_stay_is_kept(label: str, is_kept: bool) -> None:
    """A person who renames `epoch_03.keras` to `epoch_03_keep.keras` wants it to stay."""
    entries = [
        entry(i, series=label, path=f"/w/{label.format(i)}", step=i, saved_at=NOW - 10 + i)
        for i in range(1, 5)
    ]
    planned = plan(entries, policy(keep_last=2), NOW)
    assert kept(planned) == ({1, 2, 3, 4} if is_kept else {3, 4})
    assert ("its name says" in reasons_for(planned, 1)) is is_kept


def test_the_floor_holds_whatever_the_rules_say() -> None:
    """`keep_min_valid` adds the newest that no rule asked for."""
    best = {"n": 1, "metric": "loss", "mode": "min"}
    entries = [
        entry(i, step=i, saved_at=NOW - 10 + i, metrics={"loss": float(i)}) for i in range(1, 6)
    ]
    planned = plan(entries, RetentionSettings(keep_best=best, keep_min_valid=3), NOW)
    assert kept(planned) == {1, 4, 5}
    assert "keep_min_valid" in reasons_for(planned, 4)


def test_each_series_is_its_own() -> None:
    """`fold_1.h5` is no older version of `fold_2.h5`."""
    entries = [entry(i, series=f"fold_{i}.h5", saved_at=NOW - i) for i in range(5)]
    assert plan(entries, policy(keep_last=1), NOW).removals == ()
