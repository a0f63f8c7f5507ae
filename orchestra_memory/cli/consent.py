"""Before anything is destroyed: a preview unless ``--yes``, and a name to repeat in production."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import PurePath

import typer

from ..plan import Plan
from ..settings import AppEnv, Settings
from ..urls import FirestoreUrl, SqliteUrl, StoreUrl
from .codes import Code
from .opening import may_be_served, plan_of, settings_of
from .output import note
from .verb import Target


def consent(target: Target, what: str, *, yes: bool, confirm: str | None) -> None:
    """Return if the person at the terminal wants `what` done to `target`; else end the command.

    `what` completes "this would ...", such as ``"erase 412 records of user ada"``; show the preview
    before. Raises ``typer.Exit`` with the code of a usage error where ``--yes`` is missing, and
    ``typer.BadParameter`` where the store needs ``--confirm NAME`` and has another name.
    """
    settings = settings_of(target)
    plan = plan_of(target, settings)
    name = name_of(plan.store) if needs_name(plan, settings) else None
    # What the preview says belongs before what is said about it.
    sys.stdout.flush()
    if not yes:
        named = "" if name is None else f" --confirm {name}"
        note(f"this would {what}, in {plan.store}; nothing is done. To do it, add --yes{named}")
        raise typer.Exit(Code.USAGE)
    if name is not None and confirm != name:
        raise typer.BadParameter(
            f"this would {what}, in {plan.store}, which people depend on; "
            f"add --confirm {name} if that is the one you mean"
        )


def needs_name(plan: Plan, settings: Settings) -> bool:
    """Whether `plan` is production, or may be."""
    return settings.app_env is AppEnv.PRODUCTION or may_be_served(plan, settings)


def name_of(store: StoreUrl) -> str:
    """What a person calls the data: its namespace, else its project, else its file."""
    if store.namespace is not None:
        return store.namespace
    if isinstance(store, FirestoreUrl):
        return store.project or ""
    return PurePath(store.path).name if isinstance(store, SqliteUrl) else "local"


@dataclass(frozen=True, slots=True)
class Change:
    """Whether a change is agreed to, and how it is written."""

    yes: bool
    confirm: str | None
    no_cache: bool


def agreed(target: Target, what: str, change: Change) -> None:
    """:func:`consent`, by the options of a change."""
    consent(target, what, yes=change.yes, confirm=change.confirm)
