"""`python -m benchmarks.peers`: the library beside named peers, on the Firestore emulator."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console

from .. import server
from ..sheets import show
from . import report
from .bench import QUICK, Plan, run
from .catalogue import PEERS, Peer

WIDTH: Final = 170
"""Columns of the table where there is no terminal to ask."""

app = typer.Typer(add_completion=False)


@app.command()
def main(
    only: Annotated[list[str] | None, typer.Option(help="A peer; several times for more.")] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Counted rounds; one more warms up.")] = 5,
    quick: Annotated[
        bool, typer.Option("--quick", help="Few records, two rounds: to see that it works.")
    ] = False,
    output: Annotated[Path | None, typer.Option(help="A file for the result, as JSON.")] = None,
) -> None:
    """Install the peers, each in an environment of its own, and time them beside the library."""
    chosen = choose(only or [])
    plan = QUICK if quick else replace(Plan(), rounds=rounds)
    log = Console(stderr=True, highlight=False, markup=False)
    with server.started() as running:
        result = run(plan, running.host, log.print, peers=chosen)
    show(report.sheet(result), width=WIDTH)
    if output is not None:
        output.write_text(json.dumps(asdict(result), indent=1, ensure_ascii=False) + "\n")


def choose(names: list[str]) -> list[Peer]:
    """The peers with these names, all of them without any."""
    known = {peer.name: peer for peer in PEERS}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise typer.BadParameter(f"no peer {unknown[0]!r}; there are {', '.join(known)}")
    return [known[name] for name in names or known]


if __name__ == "__main__":
    app(prog_name="python -m benchmarks.peers")
