"""What a part of a run gives: everything to be kept, shown and drawn."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from .sheets import Sheet, markdown
from .summary import Spread

Report: TypeAlias = Callable[[str], None]
"""Told what is being done."""


class Skipped(Exception):
    """A part cannot be run here; the message says why."""


@dataclass(frozen=True, slots=True)
class Result:
    """One part's.

    ``document`` is kept as JSON, ``sheets`` as Markdown. ``shown`` are the sheets for the screen,
    where they differ. ``figures`` are what promises are about, and ``draw`` writes a picture.
    """

    title: str
    document: Mapping[str, Any]
    sheets: Sequence[Sheet]
    shown: Sequence[Sheet] = ()
    figures: Mapping[str, Spread] = field(default_factory=dict)
    draw: Callable[[Path, str], None] | None = None


def save(result: Result, stem: Path, *, about: Mapping[str, Any]) -> None:
    """Write ``stem`` with ``.json``, ``.md`` and, where there is a picture, ``.png``."""
    stem.parent.mkdir(parents=True, exist_ok=True)
    document = {"title": result.title, **about, **result.document}
    stem.with_suffix(".json").write_text(as_json(document))
    told = [f"# {result.title}", facts(about), *map(markdown, result.sheets)]
    stem.with_suffix(".md").write_text("\n\n".join(part.strip() for part in told) + "\n")
    if result.draw is not None:
        result.draw(stem.with_suffix(".png"), caption(about))


def as_json(document: Mapping[str, Any]) -> str:
    """A line for each item of the lists in it, so that a result is short and can be compared."""
    fields = [f"{json.dumps(name)}: {_value(value)}" for name, value in document.items()]
    return "{\n" + ",\n".join(fields) + "\n}\n"


def _value(value: Any) -> str:
    if isinstance(value, list | tuple) and value:
        return "[\n " + ",\n ".join(json.dumps(item, ensure_ascii=False) for item in value) + "\n]"
    return json.dumps(value, ensure_ascii=False)


def facts(about: Mapping[str, Any]) -> str:
    machine = about["machine"]
    versions = ", ".join(f"{name} {number}" for name, number in about["versions"].items())
    return (
        f"{about['when'][:10]}. {machine['cpu']}, {machine['cores']} cores, "
        f"{machine['memory_gib']} GiB, {machine['system']}, load {machine['load_before']} before "
        f"the run. {versions}."
    )


def caption(about: Mapping[str, Any]) -> str:
    machine = about["machine"]
    return (
        f"Medians; bands and whiskers: least and greatest of the rounds. Client and server share "
        f"{machine['cores']} cores ({machine['cpu']}). {about['when'][:10]}."
    )
