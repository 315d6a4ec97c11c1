"""The tables of the manual that are made from the code, as Markdown."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any

from checkpointd.core import suite
from checkpointd.core.reasons.general import GENERAL
from checkpointd.core.reasons.reason import Severity
from checkpointd.core.verify_settings import SCAN_STAGE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

VERDICTS = {
    Severity.FAIL: "invalid",
    Severity.ERROR: "inconclusive",
    Severity.WARN: "valid, with a warning",
    Severity.NOTE: "not shown, with a note",
}
"""What a reason of each severity means for the verdict."""


def checks() -> str:
    """Every check of the suite, in the order in which they run."""
    rows = [
        (
            f"`{spec.name}`",
            "without TensorFlow" if spec.stage == SCAN_STAGE else "with TensorFlow or Keras",
            spec.summary,
            f"`{spec.shows}`" if spec.shows else "",
            ", ".join(f"`{name}`" for name in spec.needs),
        )
        for spec in suite.SUITE
    ]
    return _table(("check", "runs", "what it establishes", "shows", "needs"), rows)


def reasons() -> str:
    """Every reason that belongs to one check, with its verdict and its cure."""
    rows = [
        (f"`{name}`", VERDICTS[reason.severity], reason.cure)
        for name, reason in suite.REASONS.items()
        if name.partition(".")[2] not in GENERAL
    ]
    return _table(("reason", "verdict", "what to do"), rows)


def configuration() -> str:
    """Every key of config.toml, a table for each of its sections."""
    from checkpointd.config.schema import keys

    parts = []
    for header, group in groupby(keys(), key=lambda key: key.table):
        rows = [
            (f"`{key.name}`", key.type, key.default, key.unit, key.since, key.description)
            for key in group
        ]
        parts.append(f"#### `{header}`\n\n{_table(_KEY_COLUMNS, rows)}")
    return "\n\n".join(parts)


_KEY_COLUMNS = ("key", "type", "default", "unit", "since", "meaning")


def formats() -> str:
    """Every format: how it is recognised, and when it is complete."""
    from checkpointd.core.format_specs import FORMATS

    rows = [(f"`{s.name}`", s.summary, s.recognised_by, s.complete_when) for s in FORMATS]
    return _table(("format", "what it is", "recognised as", "complete when"), rows)


def loaders() -> str:
    """Every real loader, in the order in which they are tried."""
    from checkpointd.core.loader_specs import LOADERS

    rows = [
        (
            f"`{spec.name}`",
            spec.summary,
            ", ".join(f"`{name}`" for name in spec.formats),
            ", ".join(f"Keras {generation}" for generation in spec.first_for),
            "yes" if spec.needs_builder else "",
        )
        for spec in LOADERS
    ]
    return _table(("loader", "what it is", "formats", "first choice for", "needs `builder`"), rows)


def rules() -> str:
    """Every retention rule."""
    from checkpointd.retention_rules.table import RULES

    return _table(("rule", "effect"), [(f"`{spec.name}`", spec.help) for spec in RULES])


def holds() -> str:
    """Every hold, with its cure."""
    from checkpointd.retention.buckets import BUCKET_HOLDS
    from checkpointd.retention.confirmation import CONFIRMATION_HOLDS
    from checkpointd.retention.holds import HOLDS
    from checkpointd.retention.trash_holds import TRASH_HOLDS

    cures = {
        **{spec.reason: spec.cure for spec in HOLDS},
        **CONFIRMATION_HOLDS,
        **TRASH_HOLDS,
        **BUCKET_HOLDS,
    }
    return _table(("hold", "what to do"), [(f"`{name}`", cure) for name, cure in cures.items()])


def metrics() -> str:
    """Every metric that the daemon exports, without those of the Python process itself."""
    from prometheus_client import ProcessCollector

    from checkpointd.observe.metrics import Metrics
    from checkpointd.observe.snapshot import EngineSnapshot, Snapshot, WebSnapshot

    web = WebSnapshot(certificate_not_after=0.0, files_good=True)
    engine = EngineSnapshot(reachable=True, workers=0, slots=0)
    registry = Metrics(lambda: Snapshot(web=web, engine=engine)).registry
    rows = []
    for collector in vars(registry)["_collector_to_names"]:
        if isinstance(collector, ProcessCollector):
            continue
        for family in collector.collect():
            labels = vars(family).get("_labelnames") or vars(collector).get("_labelnames", ())
            name = family.name + ("_total" if family.type == "counter" else "")
            names = ", ".join(f"`{label}`" for label in labels)
            rows.append((f"`{name}`", family.type, names, family.documentation))
    return _table(("metric", "type", "labels", "meaning"), rows)


def alerts() -> str:
    """Every alert rule that ships, with its runbook."""
    from checkpointd.observe.monitoring.alert import RuleSettings
    from checkpointd.observe.monitoring.rules import all_alerts
    from checkpointd.observe.problems import anchor

    rows = [
        (
            f"`{alert.full_name}`",
            alert.severity,
            alert.meaning,
            f"[{alert.runbook}](#{anchor(alert.runbook)})",
        )
        for alert in all_alerts(RuleSettings(intervals={"WATCH": 1}))
    ]
    return _table(("alert", "severity", "meaning", "what to do"), rows)


def worker_exits() -> str:
    """Every cause for which a worker can end."""
    from checkpointd.observe.metric_specs import WORKER_EXITS

    rows = [(f"`{cause}`", text) for cause, text in WORKER_EXITS.items()]
    return _table(("`cause`", "meaning"), rows)


def problems() -> str:
    """Every reason of a problem, with the runbook."""
    from checkpointd.observe.problems import PROBLEMS, anchor

    rows = [
        (f"`{reason}`", spec.summary, f"[{spec.runbook}](#{anchor(spec.runbook)})")
        for reason, spec in PROBLEMS.items()
    ]
    return _table(("`reason`", "meaning", "what to do"), rows)


def exit_codes() -> str:
    """Every exit code of the command line."""
    from checkpointd.cli.errors import EXIT_CODES

    return _table(("code", "meaning"), [(str(code), text) for code, text in EXIT_CODES.items()])


def doctor() -> str:
    """Every check of `checkpointd doctor`, in the order in which they run."""
    from checkpointd.cli.doctor.table import CHECKS

    return _table(("check", "what it looks at"), [(f"`{c.name}`", c.summary) for c in CHECKS])


def commands(program: Any) -> str:
    """Every command with its arguments and options, as `--help` shows them.

    Args:
        program: the program's command, as typer has made it.
    """
    from checkpointd.cli.manual.command_tree import command_tree

    parts = []
    for command in command_tree(program):
        heading = f"### `{command.usage}`\n\n{command.help}"
        rows = [(f"`{one.usage}`", one.help) for one in command.parameters]
        table = f"\n\n{_table(('argument or option', 'meaning'), rows)}" if rows else ""
        parts.append(heading + table)
    return "\n\n".join(parts)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = (head, ["---"] * len(head), *rows)
    return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


TABLES: dict[str, Callable[[], str]] = {
    "alerts": alerts,
    "checks": checks,
    "configuration": configuration,
    "doctor": doctor,
    "exit-codes": exit_codes,
    "formats": formats,
    "loaders": loaders,
    "holds": holds,
    "metrics": metrics,
    "problems": problems,
    "reasons": reasons,
    "rules": rules,
    "worker-exits": worker_exits,
}
"""The content of each generated block, by its name; besides `commands`, which needs the program."""
