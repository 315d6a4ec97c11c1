"""What `verify` prints while it runs: a progress bar on a terminal, a line a verdict, or JSON."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING, Any

from checkpointd.cli.output import console, json_line
from checkpointd.core.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.progress import Progress, TaskID

    from checkpointd.cli.verifying import Target
    from checkpointd.core.check_result import CheckResult

_NAME_WIDTH = 40


class View:
    """Shows results as they come; `verdicts` are those that were shown, None for none."""

    def __init__(self, *, json: bool) -> None:
        self.verdicts: list[str | None] = []
        self._json = json
        self._out = console()
        self._progress: Progress | None = None
        self._task: TaskID | None = None

    @contextlib.contextmanager
    def progress(self, total: int) -> Iterator[None]:
        """Show a bar while the block runs, if a person is watching."""
        if not sys.stderr.isatty() or not total:
            yield
            return
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

        both = sys.stdout.isatty() and not self._json
        columns = (
            BarColumn(20, complete_style="cyan", finished_style="cyan"),
            MofNCompleteColumn(),
            TextColumn("{task.description}", markup=False),
        )
        with Progress(
            *columns, console=self._out if both else console(sys.stderr), transient=True
        ) as self._progress:
            self._task = self._progress.add_task("", total=total)
            yield

    def begin(self, target: Target) -> None:
        """Show what is being verified now."""
        self._describe(target.path, "starting")

    def check(self, target: Target, result: CheckResult) -> None:
        """Show how far a verification has come."""
        self._describe(target.path, f"{result.name} {result.outcome}")

    def show(self, public: dict[str, Any]) -> None:
        """Show one result."""
        from checkpointd.cli.verdicts import print_verdict

        self.verdicts.append(public.get("verdict"))
        if self._json:
            json_line(public)
            sys.stdout.flush()
        elif public.get("verdict") is None:
            print(f"{printable(public['path'])} {printable(public['message'])}", file=sys.stderr)
        else:
            print_verdict(self._out, public)
            sys.stdout.flush()
        self._advance()

    def refuse(self, sentence: str) -> None:
        """Show why there is no result for one."""
        print(printable(sentence), file=sys.stderr)
        self._advance()

    def _advance(self) -> None:
        if self._progress is not None and self._task is not None:
            self._progress.advance(self._task)

    def _describe(self, path: str, detail: str) -> None:
        if self._progress is not None and self._task is not None:
            name = printable(os.path.basename(path))
            text = name if len(name) <= _NAME_WIDTH else f"{name[: _NAME_WIDTH - 1]}…"
            self._progress.update(self._task, description=f"{text}  {detail}")
