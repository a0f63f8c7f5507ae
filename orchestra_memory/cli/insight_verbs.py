"""The verbs for figures, alerts and the privacy of users, and their options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .verb import Confirm, Imports, NoCache, Resume, Target, Yes, verb

analytics: typer.Typer = typer.Typer(
    no_args_is_help=True, help="Figures: agents, what happens between them, errors, storage."
)
privacy: typer.Typer = typer.Typer(
    no_args_is_help=True, help="Everything of one user: written out, or erased."
)

Since = Annotated[
    str | None, typer.Option(metavar="TIME", help="Not before this time (ISO 8601; UTC).")
]
Until = Annotated[str | None, typer.Option(metavar="TIME", help="Before this time.")]
Limit = Annotated[int, typer.Option(min=1, max=1_000, help="At most so many.")]
User = Annotated[str, typer.Argument(metavar="USER", help="The user's id, whole.")]
Others = Annotated[
    list[str] | None,
    typer.Option("--in", metavar="NAME", help="In this namespace, too; may be repeated."),
]


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    app.add_typer(analytics, name="analytics")
    app.add_typer(privacy, name="privacy")
    app.command("alerts")(alerts)


@verb
def alerts(target: Target) -> None:
    """Which figures are beyond their thresholds; exit code 3 if any is."""
    from .alerts import run

    run(target)


@analytics.command("agents")
@verb
def agents(
    target: Target,
    *,
    agent_type: Annotated[
        str | None, typer.Argument(metavar="TYPE", help="Each agent of this type; else all types.")
    ] = None,
    agent: Annotated[
        str | None, typer.Option("--agent", metavar="ID", help="Only this agent of the type.")
    ] = None,
    limit: Limit = 100,
) -> None:
    """Tasks done and failed, how long they took, and errors."""
    from . import analytics as show

    show.agents(target, agent_type, agent, limit=limit)


@analytics.command("coordination")
@verb
def coordination(target: Target, *, since: Since = None, until: Until = None) -> None:
    """What came of events between agents, by type."""
    from . import analytics as show

    show.coordination(target, since, until)


@analytics.command("pairs")
@verb
def pairs(
    target: Target,
    *,
    source: Annotated[
        str | None, typer.Option("--source", metavar="ID", help="Only events from this agent.")
    ] = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = 100,
) -> None:
    """What came of events between each two agents."""
    from . import analytics as show

    show.pairs(target, source, (since, until), limit=limit)


@analytics.command("errors")
@verb
def errors(
    target: Target,
    *,
    since: Since = None,
    until: Until = None,
    every: Annotated[float, typer.Option(metavar="HOURS", help="The length of a bucket.")] = 1.0,
) -> None:
    """Errors by kind and time; of the last day unless told otherwise."""
    from . import analytics as show

    show.errors(target, since, until, every)


@analytics.command("system")
@verb
def system(target: Target) -> None:
    """The counters of the system, and agents by status."""
    from . import analytics as show

    show.system(target)


@analytics.command("storage")
@verb
def storage(target: Target, *, imports: Imports = None) -> None:
    """How many records are in each collection."""
    from . import analytics as show

    show.storage(target, tuple(imports or ()))


@privacy.command("export")
@verb
def privacy_export(
    target: Target,
    *,
    user: User,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Packed if it ends in .gz.")],
    also: Others = None,
    imports: Imports = None,
    resume: Resume = False,
) -> None:
    """Write everything of a user as JSON lines, whatever its type."""
    from . import privacy as what

    what.export(target, user, file, what.Where(tuple(also or ()), tuple(imports or ())), resume)


@privacy.command("erase")
@verb
def privacy_erase(
    target: Target,
    *,
    user: User,
    also: Others = None,
    imports: Imports = None,
    receipt: Annotated[
        Path | None, typer.Option("--receipt", metavar="FILE", help="Write the receipt there, too.")
    ] = None,
    yes: Yes = False,
    confirm: Confirm = None,
    no_cache: NoCache = False,
) -> None:
    """Erase everything of a user: records, versions that lost, cache, journals of dead processes.

    It cannot be undone. Without --yes it shows what there is.
    """
    from . import privacy as what

    where = what.Where(tuple(also or ()), tuple(imports or ()))
    choices = what.Erase(where, receipt, yes, confirm, no_cache)
    what.erase(target, user, choices)
