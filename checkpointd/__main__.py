"""`python -m checkpointd` and the `checkpointd` command."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line and leave with its exit code."""
    from checkpointd.cli.main import run

    sys.exit(run())


if __name__ == "__main__":
    main()
