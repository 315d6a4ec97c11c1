"""Formats in the wild: what real writers write is valid, and shows all that it can.

Every case of `tests/helpers/wild` is a checkpoint that a real program wrote (Keras 1's layouts
are made by hand), verified by one `checkpointd verify` through warm zygotes. `make test` leaves out
some that resemble others; `make wild` has them all, and the files above 4 GiB.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from tests.helpers.cli import ROOT, environment
from tests.helpers.wild import table
from tests.helpers.wild.groups import GROUPS

if TYPE_CHECKING:
    from pathlib import Path

    from tests.helpers.wild.broken import Broken

pytestmark = [pytest.mark.slow(200), pytest.mark.timeout(900)]

GOOD = [case for name, cases in GROUPS.items() if name != "broken" for case in cases]
LANES = (("keras",), ("tf_keras", "tensorflow", "broken"))
"""Two trainers at a time: as many as the machine that runs the tests has cores."""


@dataclass(frozen=True)
class Seen:
    """What became of every case, by its sentence: its report, or why it could not be written."""

    reports: dict[str, dict[str, Any]]
    problems: dict[str, str]

    def report(self, case: table.Case) -> dict[str, Any]:
        """The report on a case."""
        assert case.sentence not in self.problems, self.problems[case.sentence]
        return self.reports[case.sentence]


@pytest.fixture(scope="session")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Seen:
    """Every case written by a trainer and verified by the command line."""
    home = tmp_path_factory.mktemp("wild")
    with ThreadPoolExecutor(len(LANES)) as pool:
        lanes = list(pool.map(lambda names: [_group(name, home) for name in names], LANES))
    parts = [part for lane in lanes for part in lane]
    reports = {s: r for part in parts for s, r in part.reports.items()}
    verdicts = Counter(f"{r['format']} {r['verdict']}" for r in reports.values())
    print("\n".join(f"{count:4} {said}" for said, count in sorted(verdicts.items())))  # noqa: T201
    return Seen(reports, {s: p for part in parts for s, p in part.problems.items()})


def _group(name: str, home: Path) -> Seen:
    root, cases = home / name, GROUPS[name]
    surroundings = environment(home, TF_CPP_MIN_LOG_LEVEL="3", WILD=os.environ.get("WILD", ""))
    done = _run(["-m", "tests.helpers.wild", name, str(root)], ROOT, surroundings)
    assert done.returncode == 0, done.stderr[-2000:]
    problems = json.loads(root.with_suffix(".json").read_text())
    config = root.with_suffix(".toml")
    config.write_text(table.config_of(cases, root))
    paths = [str(case.path(root)) for case in cases if case.sentence not in problems]
    verify = ["-m", "checkpointd", "--config", str(config), "verify", "--json", *paths]
    done = _run(verify, home, surroundings)
    assert "Traceback" not in done.stderr, done.stderr[-2000:]
    reports = {report["path"]: report for report in map(json.loads, done.stdout.splitlines())}
    found = {case.sentence: reports.get(str(case.path(root))) for case in cases}
    return Seen({s: r for s, r in found.items() if r is not None}, problems)


def _run(
    arguments: list[str], directory: Path, surroundings: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=directory,
        env=surroundings,
        capture_output=True,
        text=True,
        timeout=800,
        check=False,
    )


@pytest.mark.parametrize("case", GOOD, ids=lambda case: case.sentence)
def test_a_good_checkpoint_is_valid(seen: Seen, case: table.Case) -> None:
    """No false alarm, and the report shows what this kind of checkpoint can show."""
    report = seen.report(case)
    wrong = [
        f"{check['name']} {check['outcome']} {check['reason']}: {check['message']}"
        for check in report["checks"]
        if check["outcome"] not in ("pass", "skip")
    ]
    assert report["verdict"] == "valid", wrong
    skipped = [c["message"] for c in report["checks"] if c["outcome"] == "skip"]
    assert case.shows <= set(report["shown"]), [*wrong, *skipped]


@pytest.mark.parametrize("case", GROUPS["broken"], ids=lambda case: case.sentence)
def test_what_its_writer_cannot_read_back_is_not_valid(seen: Seen, case: Broken) -> None:
    """Saved without an error, and of no use: the report says so, and why."""
    report = seen.report(case)
    assert (report["verdict"], report["reason"]) == (case.verdict, case.reason), report["message"]
    assert report["message"].isprintable()


def test_there_are_enough_of_every_format(seen: Seen) -> None:
    """At least 200 good ones, and ten of each format at the least."""
    formats = Counter(seen.report(case)["format"] for case in GOOD)
    assert formats.total() >= 200
    assert set(formats) == {"savedmodel", "keras", "hdf5", "hdf5_weights", "tf_checkpoint"}
    assert min(formats.values()) >= 10, formats
