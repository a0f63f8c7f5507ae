"""The verbs and their options. What they do is imported when one is called."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from .. import __version__
from . import data_verbs, domain_verbs, insight_verbs, migrate_verbs
from .outage_verbs import conflicts, journal
from .verb import Json, Namespace, NoCache, Resume, Target, Url, verb

app: typer.Typer = typer.Typer(
    name="orchestra-memory",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
cache: typer.Typer = typer.Typer(no_args_is_help=True, help="The Redis in front of the store.")
config: typer.Typer = typer.Typer(
    no_args_is_help=True, help="The settings, and where they come from."
)
emulator: typer.Typer = typer.Typer(
    no_args_is_help=True, help="A Firestore emulator for development."
)
app.add_typer(config, name="config")
app.add_typer(cache, name="cache")
app.add_typer(journal, name="journal")
app.add_typer(conflicts, name="conflicts")
app.add_typer(emulator, name="emulator")
data_verbs.register(app)
domain_verbs.register(app)
migrate_verbs.register(app)
insight_verbs.register(app)

User = Annotated[str, typer.Argument(metavar="USER", help="Whose memory.")]
OnlyUser = Annotated[str | None, typer.Option("--user", metavar="USER", help="Only this user's.")]
Session = Annotated[
    str | None, typer.Option("--session", metavar="ID", help="Only this conversation.")
]
ItemType = Annotated[str | None, typer.Option("--type", metavar="WORD", help="Only this type.")]
Persona = Annotated[
    str | None, typer.Option("--persona", metavar="NAME", help="Only this persona.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Read and check; write nothing.")]


class Metric(StrEnum):
    """How near vectors are."""

    COSINE = "cosine"
    EUCLIDEAN = "euclidean"
    DOT_PRODUCT = "dot_product"


class IndexFormat(StrEnum):
    """What is to create the indexes."""

    FIREBASE = "firebase"
    GCLOUD = "gcloud"
    TERRAFORM = "terraform"


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"orchestra-memory {__version__}")
        raise typer.Exit


Version = Annotated[
    bool,
    typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit."),
]


@app.callback()
def top(
    ctx: typer.Context,
    url: Url = None,
    namespace: Namespace = None,
    as_json: Json = False,
    version: Version = False,
) -> None:
    """Memory for agents: look into it, move it, check it.

    Start with: orchestra-memory demo
    """
    del version
    ctx.obj = Target(url, namespace, as_json)


@app.command()
@verb
def demo(target: Target, *, no_cache: NoCache = False) -> None:
    """See it work: agents remember, end, and find it all again."""
    from .demo import run

    run(target, no_cache=no_cache)


@app.command()
@verb
def history(
    target: Target,
    *,
    user: User,
    session: Session = None,
    item_type: ItemType = None,
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help="Not before this time (ISO 8601; UTC).")
    ] = None,
    until: Annotated[str | None, typer.Option(metavar="TIME", help="Before this time.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many.")] = 50,
    after: Annotated[
        str | None, typer.Option(metavar="CURSOR", help="Go on behind an earlier answer.")
    ] = None,
) -> None:
    """What a user and the agents said, newest first."""
    from . import ask

    filters = ask.Filters(session, item_type, None)
    ask.history(target, user, filters, ask.Window(since, until, limit, after))


@app.command()
@verb
def search(
    target: Target,
    *,
    user: User,
    vector: Annotated[
        str | None,
        typer.Option(metavar="JSON|FILE", help="Nearest to this vector: a JSON list, or its file."),
    ] = None,
    session: Session = None,
    item_type: ItemType = None,
    persona: Persona = None,
    limit: Annotated[int, typer.Option(min=1, max=1_000, help="At most so many.")] = 10,
    metric: Annotated[Metric, typer.Option(help="How near vectors are.")] = Metric.COSINE,
) -> None:
    """A user's items nearest to a vector, or of a persona."""
    from . import ask

    filters = ask.Filters(session, item_type, persona)
    ask.search(target, user, filters, ask.Nearest(vector, limit, metric.value))


@app.command()
@verb
def count(target: Target, *, user: OnlyUser = None) -> None:
    """How many records there are, of every type."""
    from . import ask

    ask.count(target, user)


@app.command()
@verb
def health(target: Target) -> None:
    """The state of the store and of all in front of it."""
    from . import ask

    ask.health(target)


@app.command("import")
@verb
def import_(
    target: Target,
    *,
    file: Annotated[str, typer.Argument(metavar="FILE", help="The file; - is standard input.")],
    user: Annotated[
        str | None, typer.Option(metavar="USER", help="Whose memory a chat becomes.")
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="The time of a chat that tells none (2000-01-01)."),
    ] = None,
    resume: Resume = False,
    dry_run: DryRun = False,
    no_cache: NoCache = False,
) -> None:
    """Take in an export, or chats from elsewhere.

    FILE is an export of this command, chats in the form {"messages": [{"role": ..., "content":
    ...}]}, one or a list or one a line, or LoCoMo conversations; packed with gzip or not.
    """
    from . import bring

    bring.run(target, file, bring.Choices(user, start, resume, dry_run, no_cache))


@app.command()
@verb
def export(
    target: Target,
    *,
    file: Annotated[
        str,
        typer.Argument(metavar="FILE", help="Packed if it ends in .gz; - is standard output."),
    ],
    user: OnlyUser = None,
    collection: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Only this collection; may be repeated."),
    ] = None,
    resume: Resume = False,
    dry_run: DryRun = False,
) -> None:
    """Write everything, or one user's records, as JSON lines."""
    from . import take

    take.run(target, file, take.Choices(user, tuple(collection or ()), resume, dry_run))


@app.command()
@verb
def doctor(target: Target) -> None:
    """Check the setup, and say how to mend what is wrong."""
    from .doctor import run

    run(target)


@app.command()
@verb
def indexes(
    target: Target,
    *,
    format_: Annotated[
        IndexFormat, typer.Option("--format", help="What is to create them.")
    ] = IndexFormat.FIREBASE,
    dimensions: Annotated[
        int | None, typer.Option(min=1, max=2_048, help="Length of the vectors to search by.")
    ] = None,
) -> None:
    """The indexes and expiry rules a Firestore database needs."""
    from .setup import indexes as show

    show(target, format_.value, dimensions)


@config.command("show")
@verb
def config_show(target: Target) -> None:
    """Every setting, its value without secrets, and who set it."""
    from .setup import config as show

    show(target)


@cache.command("status")
@verb
def cache_status(target: Target) -> None:
    """Whether Redis answers, what it is, and whether it is set up well for a cache."""
    from .cache import status

    status(target)


@cache.command("inspect")
@verb
def cache_inspect(
    target: Target,
    *,
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Such as MemoryItem.")],
    key: Annotated[str, typer.Argument(metavar="KEY", help="The record's id.")],
    show_content: Annotated[
        bool, typer.Option("--show-content", help="Print the record, too.")
    ] = False,
) -> None:
    """What the cache holds of one record; without its content."""
    from .cache import inspect

    inspect(target, model, key, show_content=show_content)


@cache.command("invalidate")
@verb
def cache_invalidate(
    target: Target,
    *,
    model: Annotated[
        str | None, typer.Option(metavar="MODEL", help="One record: its type, with --key.")
    ] = None,
    key: Annotated[str | None, typer.Option(metavar="KEY", help="One record: its id.")] = None,
    user: Annotated[
        str | None, typer.Option(metavar="USER", help="What belongs to a user.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All namespaces of the store.")] = False,
) -> None:
    """Forget what is cached, after a write that did not go through this library.

    With --namespace alone: everything in it.
    """
    from . import cache

    cache.invalidate(target, cache.Chosen(model, key, user, everything))


@emulator.command("start")
@verb
def emulator_start(
    target: Target,
    *,
    port: Annotated[
        int, typer.Option(min=0, max=65_535, help="Where it listens; 0 picks a free port.")
    ] = 0,
) -> None:
    """Run an emulator until Ctrl-C; it keeps nothing."""
    from .setup import emulator as start

    start(target, port)
