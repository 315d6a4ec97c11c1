"""The exposition, read back with Prometheus's own parsers."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_open
from prometheus_client.parser import text_string_to_metric_families as parse_text

from checkpointd.core.check_result import CheckResult, Outcome, failed, passed, skipped
from checkpointd.core.reasons.reason import Severity
from checkpointd.core.suite import REASONS
from checkpointd.core.verdict import Verdict
from checkpointd.observe.metrics import MAX_USER_REASONS, Metrics
from checkpointd.observe.problems import PROBLEMS
from checkpointd.observe.snapshot import (
    EngineSnapshot,
    SeriesSnapshot,
    Snapshot,
    StateDirSnapshot,
    WatchSnapshot,
    WebSnapshot,
)
from tests.helpers.observe import NOW, ODD, report

GOLDEN = Path(__file__).with_suffix(".prom")
OPENMETRICS = "application/openmetrics-text; version=1.0.0"
VOLATILE = ("process_", "checkpointd_build_info{", "# HELP process_", "# TYPE process_")

SNAPSHOT = Snapshot(
    watches=(
        WatchSnapshot(
            name="resnet",
            up=True,
            counts={"valid": 12, "invalid": 1},
            holds={"invalid_streak": 1},
            series=(
                SeriesSnapshot("best.h5", last_seen=NOW),
                SeriesSnapshot(
                    "ckpt-{}",
                    NOW,
                    NOW - 60,
                    7,
                    1e-7,
                    12.5,
                    0.02,
                    0,
                    {"loss": 0.3, "accuracy": 0.9},
                    newest_state="invalid",
                    newest_timestamp_seconds=NOW - 1,
                    newest_valid_timestamp_seconds=NOW - 60,
                    newest_valid_verified_timestamp_seconds=NOW - 58,
                    newest_valid_step=7,
                    save_interval_seconds=600,
                ),
            ),
            retained_bytes=1024,
            trash_bytes=0,
            trash_reserve_bytes=2**30,
            vault_bytes=2048,
            filesystem_avail_bytes=2**40,
            filesystem_size_bytes=2**41,
            next_save_bytes=512,
        ),
        WatchSnapshot(name="bert", up=False),
    ),
    workers={"scan": True, "load": False},
    sandbox={"landlock": True, "seccomp": False},
    queue_length=2,
    queue_oldest_at=NOW - 5,
    web=WebSnapshot(connections=1, certificate_not_after=NOW + 86400, files_good=True),
    problems={"hook": 2},
    memory_limits={"scan": 2**30},
    state_dir=StateDirSnapshot(used=4096, avail=2**30, size=2**31),
    engine=EngineSnapshot(reachable=True, workers=3, slots=6),
)


def filled_metrics(snapshot: Snapshot = SNAPSHOT) -> Metrics:
    """Metrics of a daemon that has done a bit of everything."""
    metrics = Metrics(lambda: snapshot)
    metrics.watches(["resnet"])
    metrics.discovered("resnet", "hdf5")
    metrics.reported(
        report(
            passed("structure"),
            failed("finite", "nan", "12 NaN"),
            failed("load", "compile_failed", "no loss"),
            failed("inference", "timeout", "too long"),
            skipped("predictions", "no golden record"),
            verdict=Verdict.INVALID,
        )
    )
    metrics.superseded("resnet")
    metrics.coalesced("resnet")
    metrics.pruned("resnet", "unclaimed", 512)
    metrics.trash_deleted("resnet", "early")
    metrics.prune_failed("resnet")
    metrics.hook_run("resnet", "on_verdict", "failed")
    metrics.worker_exit("signal", {"structure": 2**27, "finite": 2**28})
    metrics.overflow("resnet")
    metrics.reconciled("resnet", 0.02, NOW)
    metrics.reload(ok=True, at=NOW)
    metrics.reload(ok=False, at=NOW + 1)
    return metrics


def _watch_first(label: str) -> tuple[bool, str]:
    return label != "watch", label


def values(metrics: Metrics) -> dict[tuple[str, ...], float]:
    """Every sample of the text exposition: (name, watch, other labels by name) to its number."""
    body, _ = metrics.render()
    return {
        (s.name, *(s.labels[k] for k in sorted(s.labels, key=_watch_first))): s.value
        for family in parse_text(body.decode())
        for s in family.samples
    }


def test_the_whole_exposition_is_as_recorded() -> None:
    """Any change of a name, a label, a help text or a bucket shows up in review."""
    body, content_type = filled_metrics().render()
    lines = [x for x in body.decode().splitlines() if not x.startswith(VOLATILE)]
    assert content_type.startswith("text/plain; version=0.0.4")
    assert "\n".join(lines) + "\n" == GOLDEN.read_text(encoding="utf-8")


def test_openmetrics_is_given_to_who_asks_and_names_the_checkpoint_in_an_exemplar() -> None:
    """The name of a slow checkpoint is no label, but can be found beside its bucket."""
    body, content_type = filled_metrics().render(OPENMETRICS)
    assert content_type.startswith("application/openmetrics-text")
    families = {f.name: f for f in parse_open(body.decode())}
    exemplars = [
        s.exemplar.labels
        for s in families["checkpointd_validation_duration_seconds"].samples
        if s.exemplar
    ]
    assert exemplars == [{"checkpoint": "/srv/runs/resnet/m.h5"}]


def test_counters_of_a_known_watch_start_at_zero() -> None:
    """rate() must see the first failure: a counter that appears with 1 shows no increase."""
    metrics = Metrics(Snapshot)
    metrics.watches(["resnet"])
    found = values(metrics)
    for verdict in Verdict:
        assert found["checkpointd_validations_total", "resnet", "keras", str(verdict)] == 0
    for severity, counters in {
        Severity.FAIL: ["check_failures"],
        Severity.WARN: ["check_warnings", "check_failures"],
        Severity.ERROR: ["check_errors"],
        Severity.NOTE: [],
    }.items():
        for reason in (name for name, spec in REASONS.items() if spec.severity is severity):
            for name in counters:
                check = reason.partition(".")[0]
                assert found[f"checkpointd_{name}_total", "resnet", check, reason] == 0
    assert found["checkpointd_pruned_total", "resnet", "unclaimed"] == 0
    assert found["checkpointd_artifacts_discovered_total", "resnet", "keras"] == 0
    assert found["checkpointd_watch_overflows_total", "resnet"] == 0
    assert found["checkpointd_worker_exits_total", "signal"] == 0


def test_no_series_has_the_time_at_which_a_counter_was_made() -> None:
    """`_created` would double the series and nobody reads it."""
    for accept in ("", OPENMETRICS):
        assert b"_created" not in filled_metrics().render(accept)[0]


def test_a_watch_that_left_the_config_leaves_the_metrics() -> None:
    """Stale counters of a removed watch would keep alerts firing."""
    metrics = filled_metrics(Snapshot())
    metrics.watches(["other"])
    body, _ = metrics.render()
    assert b'"resnet"' not in body
    assert b'"other"' in body


def test_more_series_than_allowed_are_dropped_and_counted() -> None:
    """The newest stay; how many are left out is exposed."""
    series = tuple(SeriesSnapshot(f"s{n}", last_seen=float(n)) for n in range(7))
    metrics = Metrics(lambda: Snapshot((WatchSnapshot("w", up=True, series=series),)), max_series=3)
    found = values(metrics)
    assert found["checkpointd_series_dropped", "w"] == 4
    kept = [key[2] for key in found if key[0] == "checkpointd_last_seen_timestamp_seconds"]
    assert kept == ["s4", "s5", "s6"]


def test_a_series_with_very_many_metrics_shows_the_first_and_how_many_are_left_out() -> None:
    """A golden record may hold a metric for each of a thousand classes."""
    series = (SeriesSnapshot("s", 1.0, evaluation={f"class_{n:03}": n for n in range(100)}),)
    found = values(Metrics(lambda: Snapshot((WatchSnapshot("w", up=True, series=series),))))
    assert len([key for key in found if key[0] == "checkpointd_evaluation"]) == 30
    assert found["checkpointd_evaluations_dropped", "w"] == 70


def test_exactly_one_state_of_the_newest_is_1() -> None:
    """So the past of a series can be summed over, and a state that ended reads 0."""
    found = values(filled_metrics())
    states = {k[3:]: v for k, v in found.items() if k[0] == "checkpointd_newest_state"}
    assert sum(states.values()) == 1
    assert found["checkpointd_newest_state", "resnet", "ckpt-{}", "invalid"] == 1


def test_every_kind_of_problem_is_there_from_the_start() -> None:
    """An alert on one needs the 0 before it."""
    found = values(Metrics(Snapshot))
    assert {k[1] for k in found if k[0] == "checkpointd_problems"} == set(PROBLEMS)
    assert values(filled_metrics())["checkpointd_problems", "hook"] == 2


def test_what_was_never_measured_is_absent() -> None:
    """0 would be a lie where nothing is known; a save time of 0 means never valid."""
    found = values(filled_metrics())
    assert ("checkpointd_weight_norm", "resnet", "best.h5") not in found
    assert found["checkpointd_last_valid_timestamp_seconds", "resnet", "best.h5"] == 0
    assert ("checkpointd_retained_bytes", "bert") not in found
    idle = values(Metrics(Snapshot))
    assert idle["checkpointd_queue_length",] == 0
    assert ("checkpointd_queue_oldest_timestamp_seconds",) not in idle


def test_a_failed_reload_keeps_the_time_of_the_last_success() -> None:
    """The age of the config in force stays right while a broken one is on disk."""
    found = values(filled_metrics())
    assert found["checkpointd_config_last_reload_successful",] == 0
    assert found["checkpointd_config_last_reload_success_timestamp_seconds",] == NOW


def test_a_wild_reason_or_cause_cannot_multiply_series() -> None:
    """A user's own check, or a bug, may hand over free text: it becomes `other`."""
    metrics = Metrics(Snapshot)
    for n in range(5):
        metrics.worker_exit(f"killed by {n}")
        metrics.pruned("w", f"because of /path/{n} ", 1)
    found = values(metrics)
    assert found["checkpointd_worker_exits_total", "other"] == 5
    assert found["checkpointd_pruned_total", "w", "other"] == 5


def test_a_check_that_gives_another_reason_each_time_cannot_multiply_series() -> None:
    """The first few are kept apart, and those of the suite always."""
    metrics = Metrics(Snapshot)
    for n in range(MAX_USER_REASONS + 5):
        own = CheckResult("mine", Outcome.FAIL, f"mine.step_{n}")
        metrics.reported(report(own, failed("finite", "nan", "")))
    found = values(metrics)
    counted = [
        key for key in found if key[0] == "checkpointd_check_failures_total" and "mine" in key
    ]
    assert len(counted) == MAX_USER_REASONS + 1
    assert sum(found[key] for key in counted) == MAX_USER_REASONS + 5
    assert found["checkpointd_check_failures_total", "resnet", "finite", "finite.nan"] == 25


def test_an_odd_path_in_an_exemplar_is_harmless() -> None:
    """Bytes that are no UTF-8, newlines and length limits meet in the exemplar."""
    metrics = Metrics(Snapshot)
    metrics.reported(report(passed("structure"), path=ODD + "é" * 300))
    list(parse_open(metrics.render(OPENMETRICS)[0].decode()))


@given(
    name=st.text(st.characters(exclude_categories=()), max_size=30)
    | st.binary(max_size=30).map(lambda raw: raw.decode("utf-8", "surrogateescape"))
)
def test_any_name_of_a_series_can_be_exposed(name: str) -> None:
    """Whatever a file is called, both formats can be written and read back."""
    series = (SeriesSnapshot(name, last_seen=1.0),)
    metrics = Metrics(lambda: Snapshot((WatchSnapshot("w", up=True, series=series),)))
    text = metrics.render()[0].decode()
    assert "checkpointd_last_seen_timestamp_seconds" in {
        family.name for family in parse_text(text.replace("\r", "?"))
    }
    assert metrics.render(OPENMETRICS)[0].decode().endswith("# EOF\n")


def test_an_evaluation_that_is_nan_is_exported_as_nan() -> None:
    """An alert on `< 0.9` does not fire on NaN, one on `!= x` does; a gap would hide it."""
    series = (SeriesSnapshot("s", last_seen=1.0, evaluation={"loss": float("nan")}),)
    found = values(Metrics(lambda: Snapshot((WatchSnapshot("w", up=True, series=series),))))
    (number,) = (v for k, v in found.items() if k[0] == "checkpointd_evaluation")
    assert math.isnan(number)


def test_any_accept_header_gets_an_exposition() -> None:
    """A scraper with a strange header is answered, never failed."""
    for kind, version in itertools.product(
        ("application/openmetrics-text", "text/plain", "*/*", ";;;", "\udcff"),
        ("", ";version=x", ";version=", ";version=9.9.9", ";version=1.0.0;escaping=allow-utf-8"),
    ):
        body, content_type = filled_metrics().render(kind + version)
        assert b"checkpointd_queue_length" in body
        assert content_type
