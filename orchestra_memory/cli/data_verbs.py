"""The verbs for backups, and their options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .verb import Confirm, Imports, NoCache, Resume, Target, Yes, verb


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    app.command("backup")(backup)
    app.command("restore")(restore)


@verb
def backup(
    target: Target,
    *,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Packed if it ends in .gz.")],
    as_of: Annotated[
        str | None,
        typer.Option("--as-of", metavar="TIME", help="A past moment that Firestore still has."),
    ] = None,
    moving: Annotated[
        bool, typer.Option("--moving", help="Read as it comes, not as of one moment.")
    ] = False,
    imports: Imports = None,
    resume: Resume = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count; write nothing.")] = False,
) -> None:
    """Write a whole namespace to a sealed file, as of one moment.

    It holds what the store has: what waits in a journal is not in it yet.
    """
    from . import backup as saving

    choices = saving.Choices(as_of, moving, tuple(imports or ()), resume, dry_run)
    saving.run(target, file, choices)


@verb
def restore(  # noqa: PLR0913 -- an option each
    target: Target,
    *,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A backup.")],
    top_level: Annotated[
        bool, typer.Option("--top-level", help="Into no namespace, wherever it was taken.")
    ] = False,
    imports: Imports = None,
    resume: Resume = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check it, and show what it would meet.")
    ] = False,
    yes: Yes = False,
    confirm: Confirm = None,
    no_cache: NoCache = False,
) -> None:
    """Bring a backup back: into its namespace, or another one, or another store.

    It is checked first. What has the same id is replaced, for which --yes is needed; all else stays
    as it is.
    """
    from . import restore as restoring

    choices = restoring.Choices(top_level, tuple(imports or ()), resume, dry_run, no_cache)
    restoring.run(target, file, choices, yes=yes, confirm=confirm)
