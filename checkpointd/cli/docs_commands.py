"""`docs` and `explain`: the manual on the command line."""

import sys
from typing import Annotated

import typer

from checkpointd.cli.errors import OK, USAGE, CliError
from checkpointd.cli.options import Json
from checkpointd.cli.workspace import Workspace, workspace_of


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command()(docs)
    app.command()(explain)


def docs(
    context: typer.Context,
    topic: Annotated[
        str | None, typer.Argument(metavar="[TOPIC]", help="The page; without it, all are listed.")
    ] = None,
    man: Annotated[
        bool, typer.Option("--man", help="Print the man page; read it with `| man -l -`.")
    ] = False,
) -> int:
    """Show a page of the manual, or list the pages.

    Formatted on a terminal; the Markdown itself where the output goes into a file or a pipe.
    """
    from checkpointd.cli.manual.pages import TOPICS, page, topics, without_links

    if man:
        from checkpointd.cli.manual.man_page import man_page

        print(man_page(context.find_root().command), end="")
        return OK
    if topic is None:
        width = max(len(name) for name in TOPICS)
        for entry in topics():
            print(f"{entry.name:<{width}}  {entry.summary}")
        return OK
    if topic not in TOPICS:
        raise CliError(f"There is no page {topic!r}; choose from {', '.join(TOPICS)}.", USAGE)
    text = page(topic, context.find_root().command)
    if sys.stdout.isatty():
        from rich.markdown import Markdown

        from checkpointd.cli.output import console

        console().print(Markdown(without_links(text)))
    else:
        print(text, end="")
    return OK


def explain(
    context: typer.Context,
    reason: Annotated[
        str, typer.Argument(metavar="REASON", help="A reason, such as finite.nan or load.timeout.")
    ],
    json: Json = False,
) -> int:
    """Explain one reason: what it means, what it rests on, what to do."""
    from dataclasses import asdict

    from checkpointd.cli.manual.explain import UnknownReasonError
    from checkpointd.cli.manual.explain import explain as explanation_of
    from checkpointd.cli.output import json_line

    try:
        explanation = explanation_of(reason, _user_checks(workspace_of(context)))
    except UnknownReasonError as error:
        close = f"; did you mean {', '.join(error.close)}?" if error.close else "."
        listed = " `checkpointd docs verdicts` lists all." if not error.close else ""
        raise CliError(f"There is no reason {reason!r}{close}{listed}", USAGE) from None
    if json:
        json_line(asdict(explanation))
        return OK
    rows = {
        "Verdict": explanation.verdict,
        "Rests on": explanation.basis,
        "What to do": explanation.cure,
    }
    print(f"{explanation.reason}\n\n{explanation.meaning}\n")
    for name, value in rows.items():
        if value:
            print(f"{name:<12}{value}")
    return OK


def _user_checks(workspace: Workspace) -> set[str]:
    """The names of the checks that the config adds; none if there is no config that can be read."""
    from checkpointd.config import ConfigError

    try:
        watches = workspace.config().watch if workspace.has_config else ()
    except ConfigError:
        return set()
    return {check.name for watch in watches for check in watch.verify.checks}
