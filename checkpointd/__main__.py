"""`python -m checkpointd` and the `checkpointd` command."""

from __future__ import annotations

import sys

_UNAVAILABLE = 69


def main() -> None:
    """Run the command line and leave with its exit code."""
    if sys.version_info < (3, 11):
        version = ".".join(str(part) for part in sys.version_info[:3])
        print(  # noqa: T201 - there is no command line to say it
            "The daemon and the command line need Python 3.11 or newer. This is Python "
            f"{version}: it has checkpointd.training, for a training job.",
            file=sys.stderr,
        )
        sys.exit(_UNAVAILABLE)
    from checkpointd.cli.main import run

    sys.exit(run())


if __name__ == "__main__":
    main()
