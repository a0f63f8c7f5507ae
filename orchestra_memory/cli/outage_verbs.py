"""The verbs for what outages leave: journals and conflicts, and their options."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from .verb import Imports, NoCache, Target, verb

journal: typer.Typer = typer.Typer(
    no_args_is_help=True, help="What was written in an outage and waits for the store."
)
conflicts: typer.Typer = typer.Typer(
    no_args_is_help=True, help="Versions that lost when writes of an outage were replayed."
)

Directory = Annotated[
    Path | None,
    typer.Option(
        "--dir", metavar="PATH", help="The journals; else ORCHESTRA_JOURNAL_DIR and ORCHESTRA_HOME."
    ),
]
Ids = Annotated[
    list[str] | None, typer.Option("--id", metavar="ID", help="Only this entry; may be repeated.")
]
DeadLetters = Annotated[bool, typer.Option("--dead-letters", help="Only what is not replayed.")]


class Keep(StrEnum):
    """Whose version is kept."""

    LOCAL = "local"
    REMOTE = "remote"


@journal.command("status")
@verb
def journal_status(target: Target, *, directory: Directory = None) -> None:
    """Which journals there are, whose, and how much waits in them."""
    from .journal import status

    status(target, directory)


@journal.command("list")
@verb
def journal_list(
    target: Target,
    *,
    directory: Directory = None,
    ids: Ids = None,
    dead_letters: DeadLetters = False,
    show: Annotated[bool, typer.Option("--show", help="Print what they write, too.")] = False,
) -> None:
    """Every write that waits, oldest first; without its content."""
    from . import journal

    chosen = journal.Chosen(tuple(ids or ()), dead_letters)
    journal.list_(target, directory, chosen, show=show)


@journal.command("replay")
@verb
def journal_replay(
    target: Target,
    *,
    directory: Directory = None,
    dead_letters: Annotated[
        bool, typer.Option("--dead-letters", help="Try these again, too.")
    ] = False,
    imports: Imports = None,
    no_cache: NoCache = False,
) -> None:
    """Write to the store what dead processes left; living ones do so themselves."""
    from . import replaying

    choices = replaying.Choices(dead_letters, tuple(imports or ()), no_cache)
    replaying.run(target, directory, choices)


@journal.command("export")
@verb
def journal_export(
    target: Target,
    *,
    file: Annotated[str, typer.Argument(metavar="FILE", help="JSON lines; - is standard output.")],
    directory: Directory = None,
) -> None:
    """Write all that waits to a file, with its content; nothing is removed."""
    from .journal import export

    export(target, directory, file)


@journal.command("discard")
@verb
def journal_discard(
    target: Target,
    *,
    directory: Directory = None,
    ids: Ids = None,
    dead_letters: DeadLetters = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without this, only say what.")] = False,
) -> None:
    """Give up writes that dead processes left, for good.

    What is to be committed together goes together.
    """
    from . import journal

    chosen = journal.Chosen(tuple(ids or ()), dead_letters)
    journal.discard(target, directory, chosen, yes=yes)


@conflicts.command("list")
@verb
def conflicts_list(target: Target) -> None:
    """Every version kept, newest first; without its content."""
    from .conflicts import list_

    list_(target)


@conflicts.command("show")
@verb
def conflicts_show(
    target: Target,
    *,
    key: Annotated[str, typer.Argument(metavar="ID", help="As listed.")],
    imports: Imports = None,
) -> None:
    """One version kept, and what the store has now; with their content."""
    from .conflicts import show

    show(target, key, tuple(imports or ()))


@conflicts.command("resolve")
@verb
def conflicts_resolve(
    target: Target,
    *,
    key: Annotated[str, typer.Argument(metavar="ID", help="As listed.")],
    keep: Annotated[Keep, typer.Option(help="Which version the store is to have.")],
    imports: Imports = None,
    no_cache: NoCache = False,
) -> None:
    """Decide which version stays; the other one is forgotten."""
    from . import conflicts

    choice = conflicts.Choice(keep.value, tuple(imports or ()), no_cache)
    conflicts.resolve(target, key, choice)
