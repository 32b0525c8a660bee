"""The commands and their options. The modules that do the work are imported only when needed."""

import sys
from pathlib import Path
from typing import Any, cast

import click

from keyfactor_provider import text
from keyfactor_provider.cli.exits import Exit
from keyfactor_provider.version import RELEASE

_LINE = 4_000
"""The most characters in a line on stderr."""


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(RELEASE, prog_name="keyfactor-reenrollment", message="%(prog)s %(version)s")
def app() -> None:
    """Look up Keyfactor Command orchestrators, and see the progress of their re-enrollment.

    Nothing is ever changed. Command's address and credentials come from KEYFACTOR_* variables or from a profile in
    ~/.keyfactor/command_config.json; only `orchestrators` and `status --live` need them.
    """


class Span(click.ParamType[int]):
    """A time span, such as 48h or 7d."""

    name = "span"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The time span in seconds."""
        from keyfactor_provider.reenrollment.desired import duration

        if (span := duration(value)) is None:
            self.fail(f'{value!r} is not a duration; expected a value such as "48h" or "7d"', param, ctx)
        return span


@app.command()
@click.option("--machine", multiple=True, metavar="PATTERN", help="ClientMachine; * and ? are wildcards.")
@click.option("--platform", multiple=True, metavar="NAME", help="A name such as .NET or Native, or a number.")
@click.option("--capability", multiple=True, metavar="NAME", help="A capability that it must have.")
@click.option("--identity", multiple=True, metavar="PATTERN", help="Identity (Username); * and ? are wildcards.")
@click.option("--exclude", multiple=True, metavar="GUID|PATTERN", help="Exclude by GUID or ClientMachine.")
@click.option("--status", multiple=True, metavar="NAME", help="New, Approved or Disapproved.")
@click.option("--seen-within", type=Span(), metavar="SPAN", help="Last seen within this time, such as 48h or 7d.")
@click.option(
    "--with-certificate/--without-certificate",
    default=None,
    help="Whether Command expects a client certificate of it; without one it never re-enrolls.",
)
@click.option("--at-least", type=click.IntRange(min=0), default=0, metavar="N", help="Fail if fewer match.")
@click.option("--at-most", type=click.IntRange(min=1), metavar="N", help="Fail if more match.")
@click.option("--json", "form", flag_value="json", help="Every field, as JSON.")
@click.option("--ids", "form", flag_value="ids", help="The GUIDs as a list for YAML, HCL, JSON or Python.")
def orchestrators(form: str | None, seen_within: int | None, **filters: Any) -> None:
    """List the orchestrators that match every filter. A filter can be repeated to allow several values."""
    from datetime import timedelta

    from keyfactor_provider.cli import live
    from keyfactor_provider.operations.lookup import Filter, check, find

    criteria = Filter(**filters, seen_within=timedelta(seconds=seen_within) if seen_within is not None else None)
    check(criteria)
    found = find(live.everyone(_warn), criteria)
    for entry in found.unmatched:
        _warn(f"--exclude {entry} excluded nothing")
    if form == "ids":
        _print_json(list(found.ids))
    elif form == "json":
        import msgspec

        _print_json([msgspec.structs.asdict(agent) for agent in found])
    else:
        from keyfactor_provider.cli.tables import show_orchestrators

        show_orchestrators(found.orchestrators)


class FailOn(click.ParamType[tuple[str, ...]]):
    """Reasons to fail, separated by commas."""

    name = "reasons"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        """The reasons as a tuple."""
        known = ("failed", "overdue", "drift")
        reasons = tuple(part.strip() for part in value.split(",")) if isinstance(value, str) else value
        if unknown := [reason for reason in reasons if reason not in known]:
            self.fail(f"{unknown[0]!r} is not one of {', '.join(known)}", param, ctx)
        return reasons


@app.command()
@click.argument("source", required=False)
@click.option("--stack", metavar="NAME", help="The Pulumi stack to export if SOURCE is omitted.")
@click.option("--live", is_flag=True, help="Read the current state of the orchestrators from Keyfactor Command.")
@click.option("--refreshed", is_flag=True, help="State that the source was refreshed just before.")
@click.option("--json", "as_json", is_flag=True, help="Everything, as JSON.")
@click.option("--html", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Also write it as HTML.")
@click.option(
    "--fail-on",
    type=FailOn(),
    default=(),
    metavar="REASON,...",
    help="failed, overdue, drift: exit with 3, 4 or 5 if any orchestrator is in that state.",
)
def status(
    source: str | None,
    stack: str | None,
    live: bool,
    refreshed: bool,
    as_json: bool,
    html: Path | None,
    fail_on: tuple[str, ...],
) -> None:
    """Show the progress of the roll-outs of a stack or configuration.

    SOURCE is a file with the output of `pulumi stack export` or `terraform show -json`, or - for standard input. If it
    is omitted, the command runs one of the two in this folder.
    """
    from keyfactor_provider.cli import reporting
    from keyfactor_provider.cli.standing import Reason

    if "drift" in fail_on and not (live or refreshed):
        raise click.UsageError(
            "--fail-on drift needs current data: add --live, or refresh the state first and add --refreshed."
        )
    if stack and source:
        raise click.UsageError("--stack names the stack to export; omit it if SOURCE is given.")
    report = reporting.report(reporting.state(source, stack), live=live, warn=_warn)
    if html is not None:
        from keyfactor_provider.cli.page import page

        _write(html, page(report))
    if as_json:
        _print_json(report.to_json())
    else:
        from keyfactor_provider.cli.tables import show_status

        for note in report.notes:
            _warn(note)
        show_status(report.standings)
    sys.exit(reporting.verdict(report, cast(tuple[Reason, ...], fail_on), _complain))


@app.command()
@click.argument("source", default="-")
@click.option("--max-requests", type=click.IntRange(min=0), metavar="N", help="Fail if the run may request more.")
@click.option("--json", "as_json", is_flag=True, help="JSON instead of Markdown.")
def summary(source: str, max_requests: int | None, as_json: bool) -> None:
    """Summarise a plan as Markdown for a pull request: which orchestrators will be requested, retried or cleared.

    SOURCE is a file with the output of `pulumi preview --json` or `terraform show -json PLAN`; the default is stdin.
    """
    from keyfactor_provider.cli import reporting
    from keyfactor_provider.cli.markdown import markdown
    from keyfactor_provider.cli.outlook import outlook

    found = outlook(reporting.plan(source))
    if as_json:
        _print_json(found.to_json())
    else:
        click.echo(markdown(found), nl=False)
    if max_requests is not None and (excess := found.excess(max_requests)):
        _complain(excess)
        sys.exit(Exit.TOO_MANY)


def _print_json(value: Any) -> None:
    import msgspec

    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2))


def _write(file: Path, content: str) -> None:
    try:
        file.write_text(content, encoding="utf-8")
    except OSError as error:
        from keyfactor_provider.cli.exits import SourceError

        raise SourceError(
            f"{file} can't be written", error.strerror or str(error), "Name a file that can be written."
        ) from None


def _warn(message: str) -> None:
    click.echo(f"Warning: {text.safe(message, _LINE)}", err=True)


def _complain(message: str) -> None:
    click.echo(f"Error: {text.safe(message, _LINE)}", err=True)
