"""`monitoring rules`, `monitoring dashboard`, `monitoring scrape-config`."""

import sys
from typing import Annotated

import typer

from checkpointd.cli.errors import OK, USAGE, CliError
from checkpointd.cli.options import seconds
from checkpointd.cli.workspace import Workspace, workspace_of

monitoring_app = typer.Typer(
    help="Print what Prometheus and Grafana need: alert rules, a dashboard, a scrape config.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
Job = Annotated[str, typer.Option("--job", metavar="NAME", help="The job_name in Prometheus.")]


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.add_typer(monitoring_app, name="monitoring")


@monitoring_app.command()
def rules(
    context: typer.Context,
    job: Job = "checkpointd",
    watch: Annotated[
        list[str] | None,
        typer.Option(
            "--watch",
            metavar="NAME=DURATION",
            help="Each series of this watch needs a valid checkpoint within this time, such as "
            "resnet=6h, instead of by its usual interval. May be given several times.",
        ),
    ] = None,
    ended_after: Annotated[
        str,
        typer.Option(
            "--ended-after",
            metavar="DURATION",
            help="A job that has saved nothing for so long counts as ended, and alerts no more.",
        ),
    ] = "7d",
    docs_url: Annotated[
        str,
        typer.Option(
            "--docs-url",
            metavar="URL",
            help="Where you serve the pages of the manual: runbook links begin with it.",
        ),
    ] = "",
) -> int:
    """Print alert rules for Prometheus, as YAML.

    The runbook of each alert is a section of `checkpointd docs operations`.
    """
    from checkpointd.observe.monitoring.alert import RuleSettings
    from checkpointd.observe.monitoring.rules import rules as rules_for

    intervals = dict(_interval(one) for one in watch or ())
    _check_watches(workspace_of(context), intervals)
    settings = RuleSettings(job, intervals, seconds("--ended-after", ended_after), docs_url)
    print(rules_for(settings), end="")
    return OK


@monitoring_app.command()
def dashboard() -> int:
    """Print a Grafana dashboard, as JSON: import it, and choose the data source."""
    from checkpointd.observe.monitoring.dashboard import dashboard_json

    print(dashboard_json(), end="")
    return OK


@monitoring_app.command(name="scrape-config")
def scrape_config(
    context: typer.Context,
    job: Job = "checkpointd",
    target: Annotated[
        str | None,
        typer.Option(
            "--target", metavar="HOST:PORT", help="Where Prometheus reaches it; default: [web]."
        ),
    ] = None,
) -> int:
    """Print what prometheus.yml needs to scrape this daemon, as its config has it."""
    from checkpointd.observe.monitoring.scrape_config import scrape_config as config_for

    workspace = workspace_of(context)
    if not workspace.has_config:
        print(config_for(job, target or "127.0.0.1:9746"), end="")
        return OK
    web = workspace.config().web
    text = config_for(
        job,
        target or web.listen,
        is_tls=web.tls is not None,
        needs_password=web.basic_auth is not None,
        needs_certificate=web.tls is not None and web.tls.client_ca_file is not None,
    )
    print(text, end="")
    return OK


def _interval(text: str) -> tuple[str, float]:
    name, separator, duration = text.rpartition("=")
    if not separator or not name:
        raise CliError(f"--watch: expected NAME=DURATION, such as resnet=6h, got {text!r}.", USAGE)
    return name, seconds("--watch", duration)


def _check_watches(workspace: Workspace, names: dict[str, float]) -> None:
    """Warn about a watch that the config does not have; rules may be for another host."""
    from checkpointd.config import ConfigError

    try:
        known = {one.name for one in workspace.config().watch} if workspace.has_config else set()
    except ConfigError:
        return
    for name in names:
        if known and name not in known:
            print(f"warning: the config has no watch {name!r}", file=sys.stderr)
