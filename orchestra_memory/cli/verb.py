"""What all verbs share: where the memory is, whose part of it, and how to answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from inspect import Parameter, Signature, signature
from typing import Annotated, Concatenate, ParamSpec, cast, get_type_hints

import typer

from .codes import reporting

P = ParamSpec("P")

Url = Annotated[
    str | None,
    typer.Option(
        "--url",
        metavar="URL",
        help="The store, such as sqlite:///state.db; else ORCHESTRA_URL and the settings say.",
    ),
]
Namespace = Annotated[
    str | None, typer.Option("--namespace", metavar="NAME", help="The tenant to look at.")
]
Json = Annotated[
    bool, typer.Option("--json", help="JSON on standard output, and nothing else there.")
]

NoCache = Annotated[
    bool, typer.Option("--no-cache", help="Write past the cache that others may read through.")
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on where an interrupted run stopped.")]
Imports = Annotated[
    list[str] | None,
    typer.Option(
        "--import", metavar="MODULE", help="Declares record types of yours; may be repeated."
    ),
]
Yes = Annotated[bool, typer.Option("--yes", help="Do it; without this, only say what.")]
Confirm = Annotated[
    str | None,
    typer.Option("--confirm", metavar="NAME", help="In production: the name of what is changed."),
]


@dataclass(frozen=True, slots=True)
class Target:
    """Which memory a verb is about, and whether it answers in JSON."""

    url: str | None = None
    namespace: str | None = None
    as_json: bool = False

    def over(self, other: Target) -> Target:
        return Target(
            self.url or other.url,
            self.namespace or other.namespace,
            self.as_json or other.as_json,
        )


def verb(function: Callable[Concatenate[Target, P], None]) -> Callable[..., None]:
    """A command with the shared options, whose errors become messages and exit codes."""
    call = cast("Callable[..., None]", function)

    @wraps(function)
    def command(
        ctx: typer.Context, url: Url, namespace: Namespace, as_json: Json, **own: object
    ) -> None:
        given = Target(url, namespace, as_json)
        with reporting():
            call(given.over(ctx.obj or Target()), **own)

    shared = {"ctx": typer.Context, "url": Url, "namespace": Namespace, "as_json": Json}
    defaults = {"url": None, "namespace": None, "as_json": False}
    hints = get_type_hints(function, include_extras=True)
    own = list(signature(function).parameters.values())[1:]
    command.__annotations__ = {p.name: hints[p.name] for p in own} | shared
    parameters = [p.replace(annotation=hints[p.name], kind=Parameter.KEYWORD_ONLY) for p in own]
    parameters += [
        Parameter(
            name,
            Parameter.KEYWORD_ONLY,
            default=defaults.get(name, Parameter.empty),
            annotation=kind,
        )
        for name, kind in shared.items()
    ]
    command.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
    return command
