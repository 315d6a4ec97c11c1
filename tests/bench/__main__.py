"""`make bench`, or `make bench ROW=scan`: every number as a ratio to a yardstick of the same run.

It prints a table and one JSON object, and never fails for a time. `!` marks what misses its target.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
from tests.bench import burst_rows, fleet_rows, known_rows, scan_rows, training_rows, verdict_rows
from tests.bench.place import Place, machine

ROWS = {
    row.name: row
    for module in (verdict_rows, scan_rows, training_rows, known_rows, burst_rows, fleet_rows)
    for row in module.ROWS
}


def main() -> None:
    """Measure the rows that are asked for, all by default."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"of {', '.join(ROWS)}")
    parser.add_argument("--scale", type=float, default=1.0, help="multiplies sizes and counts")
    parser.add_argument("--turns", type=int, default=3, help="the median of so many counts")
    parser.add_argument("--json", type=Path, help="also write the JSON there")
    asked = parser.parse_args()
    unknown = [name for name in asked.rows if name not in ROWS]
    if unknown:
        parser.error(f"no such row: {', '.join(unknown)}; there are {', '.join(ROWS)}")
    result = {"machine": machine(), "scale": asked.scale, "turns": asked.turns, "rows": {}}
    print(", ".join(f"{key} {value}" for key, value in result["machine"].items()), flush=True)
    with tempfile.TemporaryDirectory(prefix="checkpointd-bench-") as models:
        for name in asked.rows or ROWS:
            with tempfile.TemporaryDirectory(prefix="checkpointd-bench-") as home:
                place = Place(Path(home), Path(models), asked.scale, asked.turns)
                began = time.monotonic()
                found = ROWS[name].measure(place)
            print(f"{name} ({time.monotonic() - began:.0f} s)")
            for measured in found:
                print(measured.to_text(), flush=True)
            result["rows"][name] = [measured.to_json() for measured in found]
    text = json.dumps(result)
    print(text)
    if asked.json:
        asked.json.write_text(text + "\n")


if __name__ == "__main__":
    main()
