"""The verbs that bring in what earlier systems kept, and their options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .verb import Confirm, Imports, NoCache, Resume, Target, Yes, verb

schema: typer.Typer = typer.Typer(
    no_args_is_help=True, help="The schema versions of what is stored."
)

DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Read, check and compare; write nothing to the store.")
]


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    app.command("migrate")(migrate)
    app.add_typer(schema, name="schema")


@verb
def migrate(  # noqa: PLR0913 -- an option each
    target: Target,
    *,
    source: Annotated[
        str | None,
        typer.Argument(
            metavar="PATH", help="A JSON file, a folder of them, or the URL of an old database."
        ),
    ] = None,
    to: Annotated[
        str | None, typer.Option("--to", metavar="URL", help="The store; the same as --url.")
    ] = None,
    dry_run: DryRun = False,
    resume: Resume = False,
    verify: Annotated[
        bool, typer.Option("--verify", help="Read all of it back, and compare every field.")
    ] = False,
    undo: Annotated[
        Path | None,
        typer.Option("--undo", metavar="REPORT", help="Delete what a migration created."),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Where to tell of every record; else ORCHESTRA_HOME."),
    ] = None,
    max_mib: Annotated[
        int, typer.Option(min=1, max=4_096, help="The largest JSON document that is read.")
    ] = 32,
    no_cache: NoCache = False,
    yes: Yes = False,
    confirm: Confirm = None,
) -> None:
    """Bring in the JSON files, or the database, of an earlier system.

    Nothing that is stored already is changed. Try first: orchestra-memory migrate PATH --dry-run
    """
    from . import migrate as work

    target = Target(to).over(target)
    if (source is None) == (undo is None):
        raise typer.BadParameter("give either a PATH to migrate or --undo REPORT")
    if undo is not None:
        if dry_run or resume or verify:
            raise typer.BadParameter(
                "--undo goes with none of --dry-run, --resume and --verify; without --yes it only "
                "says what it would delete"
            )
        work.take_back(target, undo, work.Consent(yes, confirm), no_cache=no_cache)
    elif source is not None:
        choices = work.Choices(dry_run, resume, verify, report, max_mib, no_cache)
        work.run(target, source, choices)


@schema.command("status")
@verb
def schema_status(target: Target, *, imports: Imports = None) -> None:
    """How many documents there are of each schema version. Reads every document."""
    from . import schema as work

    work.status(target, tuple(imports or ()))


@schema.command("upgrade")
@verb
def schema_upgrade(
    target: Target,
    *,
    imports: Imports = None,
    dry_run: DryRun = False,
    resume: Resume = False,
    no_cache: NoCache = False,
    confirm: Confirm = None,
) -> None:
    """Store documents of older versions anew in the form of this one, in place."""
    from . import schema as work

    work.upgrade(target, work.Choices(tuple(imports or ()), dry_run, resume, no_cache, confirm))
