"""A format is added by one row and one module: the whole program knows it then."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.helpers.extended import Extended

if TYPE_CHECKING:
    from pathlib import Path

MODULE = '''
"""Toy files: TOY1, anything, END."""

from checkpointd.core.format_specs import Format
from checkpointd.formats.facts import TRUNCATED, FormatError, complete, incomplete
from checkpointd.formats.storage import LOCAL
from checkpointd.tensors.reading import ReadPlan


def probe(found, storage=LOCAL):
    size = found.generation.size_bytes
    if storage.pread(found.path, max(0, size - 3), 3) != b"END":
        return incomplete(Format("toy"), FormatError(TRUNCATED, "The toy has no end."))
    return complete(Format("toy"), certain=True)


def plan(path, generation):
    return ReadPlan(path, Format("toy"), others=tuple(m.name for m in generation.members))
'''

ROW = """    FormatSpec(
        name=new_format("toy"),
        summary="a toy",
        recognised_by="its first four bytes",
        complete_when="it ends with END",
        probe="checkpointd.tensors.toy:probe",
        plan="checkpointd.tensors.toy:plan",
        endings=(".toy",),
        signatures=(b"TOY1",),
        whole_model=False,
    ),
"""

METRICS = """
from checkpointd.observe.metrics import Metrics
from checkpointd.observe.snapshot import Snapshot

metrics = Metrics(Snapshot)
metrics.watches(["runs"])
print(metrics.render()[0].decode())
"""


def test_one_row_adds_a_format(tmp_path: Path) -> None:
    """`verify` recognises it by name and by content, and finds a partial one incomplete."""
    extended = Extended(tmp_path)
    extended.write("tensors/toy.py", MODULE)
    extended.insert("core/format_specs.py", "]\n", ROW)
    runs = tmp_path / "runs"
    runs.mkdir()
    (runs / "named.toy").write_bytes(b"TOY1 content END")
    (runs / "unnamed-3").write_bytes(b"TOY1 content END")
    (runs / "cut.toy").write_bytes(b"TOY1 cont")
    done = extended.run("-m", "checkpointd", "verify", "--json", str(runs), home=tmp_path)
    reports = [json.loads(line) for line in done.stdout.splitlines()]
    assert {
        report["path"].rpartition("/")[2]: (report["format"], report["verdict"], report["reason"])
        for report in reports
    } == {
        "named.toy": ("toy", "valid", ""),
        "unnamed-3": ("toy", "valid", ""),
        "cut.toy": ("toy", "invalid", "structure.truncated"),
    }, done.stderr


def test_the_row_is_a_label_in_the_metrics(tmp_path: Path) -> None:
    """Its counters start at 0, as those of every format."""
    extended = Extended(tmp_path)
    extended.insert("core/format_specs.py", "]\n", ROW)
    done = extended.run("-c", METRICS, home=tmp_path)
    sample = 'checkpointd_validations_total{format="toy",verdict="valid",watch="runs"} 0.0'
    assert sample in done.stdout.splitlines(), done.stderr


def test_the_row_is_in_the_manual(tmp_path: Path) -> None:
    """`docs formats` shows it in the table of formats."""
    extended = Extended(tmp_path)
    extended.insert("core/format_specs.py", "]\n", ROW)
    done = extended.run("-m", "checkpointd", "docs", "formats", home=tmp_path)
    row = "| `toy` | a toy | its first four bytes | it ends with END |"
    assert row in done.stdout.splitlines(), done.stderr
