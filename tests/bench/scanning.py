"""Our scan, timed in a process of its own: `scanning.py PATH TURNS`.

Prints a JSON list: the seconds of each turn, and then the mebibytes that the process grew by.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
from tests.bench.yardsticks import cached
from tests.helpers.scan import scanned


def main() -> None:
    """Time the scan of one checkpoint."""
    path, turns = Path(sys.argv[1]), int(sys.argv[2])
    cached(path)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = scanned(path)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert found.facts.digest, found
    seconds = []
    for _ in range(turns):
        began = time.perf_counter()
        scanned(path)
        seconds.append(time.perf_counter() - began)
    print(json.dumps([*seconds, grown]))


if __name__ == "__main__":
    main()
