"""The gauges, built from a snapshot at every scrape.

So a series whose checkpoints are gone, or a watch that was removed from the config, disappears
from the exposition without any bookkeeping.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from checkpointd.core.text import metric_label
from checkpointd.observe.problems import PROBLEMS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from checkpointd.observe.snapshot import (
        EngineSnapshot,
        SeriesSnapshot,
        Snapshot,
        StateDirSnapshot,
        WatchSnapshot,
        WebSnapshot,
    )

_Rows = list[tuple[tuple[str, ...], float | None]]

NEWEST_STATES = ("valid", "invalid", "inconclusive", "pending", "writing", "superseded")
"""Every value of `newest_state`'s label `state`."""

_MAX_EVALUATIONS = 30
"""Metrics of each series in `evaluation`."""

_WATCH_HELP = {
    "watch_up": "Whether the watch can read its directory.",
    "retained_bytes": "Bytes of the checkpoints in the watch.",
    "trash_bytes": "Bytes in the trash of the watch, which can be restored.",
    "trash_reserve_bytes": "Bytes that the trash of the watch leaves free for the next saves.",
    "vault_bytes": "Bytes in the vault of the watch; absent without one.",
    "filesystem_avail_bytes": "Bytes free on the file system of the watch.",
    "filesystem_size_bytes": "Size of the file system of the watch.",
    "next_save_bytes": "Bytes that the next save may need: the largest valid one of the watch.",
    "hooks_pending": "Events that wait for a hook of the watch; absent without hooks.",
    "replication_waiting": "Valid checkpoints that wait for their copy in a bucket.",
    "replication_oldest_timestamp_seconds": "Since when the first of them has been waiting.",
    "series_dropped": "Series of the watch left out of these metrics because there are too many.",
    "evaluations_dropped": "Results left out of evaluation because a series has too many.",
}
_SERIES_HELP = {
    "last_seen_timestamp_seconds": "When a checkpoint of the series was last seen to be new.",
    "last_valid_timestamp_seconds": "When the newest valid checkpoint, also one that is gone, was "
    "saved; 0 if there never was one.",
    "last_valid_step": "Training step of that checkpoint.",
    "newest_timestamp_seconds": "When the newest checkpoint on disk was saved.",
    "newest_valid_timestamp_seconds": "When the newest valid checkpoint on disk was saved.",
    "newest_valid_verified_timestamp_seconds": "When that checkpoint got its verdict.",
    "newest_valid_step": "Training step of that checkpoint.",
    "save_interval_seconds": "Usual time between saves: three of four were shorter, of the "
    "last 20; absent before the third save.",
    "predictions_max_abs_difference": "Largest difference from the golden outputs, newest report.",
    "weight_norm": "Euclidean norm of all model weights, newest report.",
    "weight_change_ratio": "Least relative change of the weights since the last valid checkpoint.",
    "non_finite_values": "NaN and Inf among the model's weights, newest report.",
}


class GaugeCollector(Collector):
    """Renders a snapshot.

    Args:
        snapshot: returns the daemon's state from memory; called in the event loop.
        max_series: series exposed for each watch; those saved last are chosen.
        constant: labels of `checkpointd_build_info`.
    """

    def __init__(
        self, snapshot: Callable[[], Snapshot], max_series: int, constant: dict[str, str]
    ) -> None:
        self._snapshot = snapshot
        self._max_series = max_series
        self._constant = constant

    def describe(self) -> list[GaugeMetricFamily]:
        """Return nothing, so that registering does not take a snapshot."""
        return []

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield every gauge, always in the same order."""
        now = self._snapshot()
        yield _family(
            "build_info",
            "Versions of checkpointd, Python and TensorFlow.",
            tuple(self._constant),
            [(tuple(self._constant.values()), 1.0)],
        )
        yield _family(
            "queue_length", "Checkpoints that wait for verification.", (), [((), now.queue_length)]
        )
        yield _family(
            "queue_oldest_timestamp_seconds",
            "When the checkpoint that has waited longest was queued; absent when none waits.",
            (),
            [((), now.queue_oldest_at)],
        )
        yield _family(
            "worker_up",
            "Whether workers of this kind can work; one that ended when idle counts as up.",
            ("kind",),
            [((kind,), float(up)) for kind, up in now.workers.items()],
        )
        yield _family(
            "worker_memory_limit_bytes",
            "Memory that one worker of this kind may use now.",
            ("kind",),
            [((kind,), float(limit)) for kind, limit in now.memory_limits.items()],
        )
        yield _family(
            "problems",
            "Problems that need attention now, by reason; the status names each.",
            ("reason",),
            [((reason,), float(now.problems.get(reason, 0))) for reason in PROBLEMS],
        )
        yield from _fleet(now.engine)
        yield from _state_dir(now.state_dir)
        yield from _web(now.web)
        yield _family(
            "sandbox_in_force",
            "Whether this layer of the sandbox confines the processes that load models.",
            ("layer",),
            [((layer,), float(on)) for layer, on in now.sandbox.items()],
        )
        yield from self._watches(now.watches)

    def _watches(self, watches: Iterable[WatchSnapshot]) -> Iterator[GaugeMetricFamily]:
        exposed = [(w, _newest(w.series, self._max_series)) for w in watches]
        rows: dict[str, _Rows] = {name: [] for name in (*_WATCH_HELP, *_SERIES_HELP)}
        counts: _Rows = []
        holds: _Rows = []
        evaluations: _Rows = []
        states: _Rows = []
        for watch, series in exposed:
            name = (watch.name,)
            rows["watch_up"].append((name, float(watch.up)))
            rows["hooks_pending"].append((name, watch.hooks_pending))
            rows["replication_waiting"].append((name, watch.replication_waiting))
            rows["replication_oldest_timestamp_seconds"].append((name, watch.replication_oldest_at))
            rows["retained_bytes"].append((name, watch.retained_bytes))
            rows["trash_bytes"].append((name, watch.trash_bytes))
            rows["trash_reserve_bytes"].append((name, watch.trash_reserve_bytes))
            rows["vault_bytes"].append((name, watch.vault_bytes))
            rows["filesystem_avail_bytes"].append((name, watch.filesystem_avail_bytes))
            rows["filesystem_size_bytes"].append((name, watch.filesystem_size_bytes))
            rows["next_save_bytes"].append((name, watch.next_save_bytes))
            rows["series_dropped"].append((name, len(watch.series) - len(series)))
            rows["evaluations_dropped"].append(
                (name, sum(max(0, len(one.evaluation) - _MAX_EVALUATIONS) for one in series))
            )
            counts += [((watch.name, str(state)), n) for state, n in watch.counts.items()]
            holds += [((watch.name, reason), n) for reason, n in watch.holds.items()]
            for one in series:
                labels = (watch.name, one.series)
                rows["last_seen_timestamp_seconds"].append((labels, one.last_seen))
                rows["last_valid_timestamp_seconds"].append((labels, one.last_valid))
                for field in tuple(_SERIES_HELP)[2:]:
                    rows[field].append((labels, getattr(one, field)))
                given = sorted(one.evaluation.items())[:_MAX_EVALUATIONS]
                evaluations += [((*labels, metric), n) for metric, n in given]
                if one.newest_state:
                    states += [
                        ((*labels, state), float(state == one.newest_state))
                        for state in NEWEST_STATES
                    ]
        yield _family(
            "checkpoints", "Checkpoints of the watch, by state.", ("watch", "state"), counts
        )
        yield _family(
            "prune_held",
            "Series in which pruning is on hold, by reason; the status page names the cure.",
            ("watch", "reason"),
            holds,
        )
        for metric, help_ in _WATCH_HELP.items():
            yield _family(metric, help_, ("watch",), rows[metric])
        for metric, help_ in _SERIES_HELP.items():
            yield _family(metric, help_, ("watch", "series"), rows[metric])
        yield _family(
            "newest_state",
            "1 for the state of the newest checkpoint on disk, 0 for the others.",
            ("watch", "series", "state"),
            states,
        )
        yield _family(
            "evaluation",
            "Metrics of the newest checkpoint: of evaluate, the golden record and the name.",
            ("watch", "series", "metric"),
            evaluations,
        )


def _fleet(engine: EngineSnapshot | None) -> Iterator[GaugeMetricFamily]:
    for name, help_, value in (
        (
            "fleet_scheduler_up",
            "Whether the Dask scheduler answers; absent where this host verifies.",
            None if engine is None else float(engine.reachable),
        ),
        (
            "fleet_workers",
            "Workers of checkpointd that are connected to the scheduler.",
            None if engine is None else float(engine.workers),
        ),
        (
            "fleet_slots",
            "Checkpoints that these workers verify at a time.",
            None if engine is None else float(engine.slots),
        ),
    ):
        if value is not None:
            yield _family(name, help_, (), [((), value)])


def _state_dir(state: StateDirSnapshot | None) -> Iterator[GaugeMetricFamily]:
    used, avail, size = (state.used, state.avail, state.size) if state else (None, None, None)
    for name, help_, value in (
        ("state_dir_bytes", "Bytes that the state directory occupies.", used),
        (
            "state_filesystem_avail_bytes",
            "Bytes free on the file system of the state directory.",
            avail,
        ),
        (
            "state_filesystem_size_bytes",
            "Size of the file system of the state directory.",
            size,
        ),
    ):
        yield _family(name, help_, (), [((), value)])


def _web(web: WebSnapshot) -> Iterator[GaugeMetricFamily]:
    good = None if web.files_good is None else float(web.files_good)
    for name, help_, value in (
        ("web_connections", "Open connections over TCP.", float(web.connections)),
        (
            "web_files_last_reload_successful",
            "Whether the certificate, key, CA and password in use are those in their files.",
            good,
        ),
        (
            "tls_certificate_not_after_timestamp_seconds",
            "When the first certificate of the chain expires.",
            web.certificate_not_after,
        ),
    ):
        if value is not None:
            yield _family(name, help_, (), [((), value)])


def _newest(series: tuple[SeriesSnapshot, ...], limit: int) -> list[SeriesSnapshot]:
    chosen = heapq.nlargest(limit, series, key=lambda s: (s.last_seen, s.series))
    return sorted(chosen, key=lambda s: s.series)


def _family(name: str, help_: str, labels: tuple[str, ...], rows: _Rows) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"checkpointd_{name}", help_, labels=labels)
    for values, number in rows:
        if number is not None:
            family.add_metric([metric_label(v) for v in values], number)
    return family
