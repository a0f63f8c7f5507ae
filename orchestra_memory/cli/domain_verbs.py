"""The verbs for agents, what happens between them, and the system; and their options."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from .verb import Confirm, NoCache, Target, Yes, verb

agents: typer.Typer = typer.Typer(no_args_is_help=True, help="What agents are doing, and were.")
coordination: typer.Typer = typer.Typer(
    no_args_is_help=True, help="What happened between agents: spawns, handoffs, errors."
)
system: typer.Typer = typer.Typer(
    no_args_is_help=True, help="The state of the whole system, and its emergency stop."
)

AgentKey = Annotated[str, typer.Argument(metavar="AGENT", help="The agent's key, as listed.")]
Limit = Annotated[int, typer.Option(min=1, max=10_000, help="At most so many.")]
After = Annotated[
    str | None, typer.Option(metavar="CURSOR", help="Go on behind an earlier answer.")
]


class Switch(StrEnum):
    """What a flag is to be."""

    ON = "on"
    OFF = "off"


def register(app: typer.Typer) -> None:
    """Add the groups of verbs."""
    app.add_typer(agents, name="agents")
    app.add_typer(coordination, name="coordination")
    app.add_typer(system, name="system")


@agents.command("list")
@verb
def agents_list(
    target: Target,
    *,
    session: Annotated[
        str | None, typer.Option("--session", metavar="ID", help="Only of this session.")
    ] = None,
    status: Annotated[
        str | None, typer.Option("--status", metavar="WORD", help="Only with this status.")
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Ended and failed ones, too; by their keys.")
    ] = False,
    limit: Limit = 50,
    after: After = None,
) -> None:
    """Agents that work or can be given work, the last active one first."""
    from . import agents

    agents.list_(target, agents.Chosen(session, status, everything, limit, after))


@agents.command("show")
@verb
def agents_show(target: Target, *, key: AgentKey) -> None:
    """One agent: its state, its figures, its children; with --json all that is stored."""
    from .agents import show

    show(target, key)


@agents.command("stop")
@verb
def agents_stop(
    target: Target,
    *,
    key: AgentKey,
    reason: Annotated[
        str | None, typer.Option("--reason", metavar="TEXT", help="Goes into the event.")
    ] = None,
    yes: Yes = False,
    confirm: Confirm = None,
    no_cache: NoCache = False,
) -> None:
    """Note that an agent has ended, in its state and as an event."""
    from . import agents
    from .consent import Change

    agents.stop(target, key, Change(yes, confirm, no_cache), reason=reason)


@agents.command("resume")
@verb
def agents_resume(
    target: Target,
    *,
    agent_type: Annotated[str, typer.Argument(metavar="TYPE", help="The agent's type.")],
    agent_id: Annotated[str, typer.Argument(metavar="ID", help="The agent's id.")],
    session: Annotated[
        str | None,
        typer.Option("--session", metavar="ID", help="In this session; else the one it was in."),
    ] = None,
    yes: Yes = False,
    confirm: Confirm = None,
    no_cache: NoCache = False,
) -> None:
    """Make an agent active again, with all that its latest state holds."""
    from . import agents
    from .consent import Change

    agents.resume(target, (agent_type, agent_id, session), Change(yes, confirm, no_cache))


@agents.command("cleanup")
@verb
def agents_cleanup(
    target: Target,
    *,
    days: Annotated[float, typer.Option(min=0, help="Last active so many days ago.")] = 30,
    yes: Yes = False,
    confirm: Confirm = None,
    no_cache: NoCache = False,
) -> None:
    """Delete the states of agents that ended or failed long ago."""
    from . import agents
    from .consent import Change

    agents.cleanup(target, days, Change(yes, confirm, no_cache))


@coordination.command("list")
@verb
def coordination_list(
    target: Target,
    *,
    event_type: Annotated[
        str | None, typer.Option("--type", metavar="WORD", help="Only of this type.")
    ] = None,
    source: Annotated[
        str | None, typer.Option("--source", metavar="ID", help="Only by this agent's id.")
    ] = None,
    to: Annotated[
        str | None, typer.Option("--target", metavar="ID", help="Only to this agent's id.")
    ] = None,
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help="Not before this time (ISO 8601; UTC).")
    ] = None,
    until: Annotated[str | None, typer.Option(metavar="TIME", help="Before this time.")] = None,
    limit: Limit = 50,
    after: After = None,
) -> None:
    """Events, newest first."""
    from . import coordination
    from .ask import Window

    chosen = coordination.Chosen(event_type, source, to)
    coordination.list_(target, chosen, Window(since, until, limit, after))


@coordination.command("show")
@verb
def coordination_show(
    target: Target,
    *,
    event_id: Annotated[str, typer.Argument(metavar="ID", help="As listed.")],
) -> None:
    """One event; with --json all that is stored."""
    from .coordination import show

    show(target, event_id)


@coordination.command("timeline")
@verb
def coordination_timeline(
    target: Target,
    *,
    task: Annotated[str, typer.Argument(metavar="TASK", help="The task's id.")],
    limit: Limit = 50,
    after: After = None,
) -> None:
    """What happened about a task, oldest first."""
    from .coordination import timeline

    timeline(target, task, limit=limit, after=after)


@coordination.command("tree")
@verb
def coordination_tree(target: Target, *, key: AgentKey) -> None:
    """An agent, what it spawned, and what those spawned."""
    from .coordination import tree

    tree(target, key)


@system.command("show")
@verb
def system_show(target: Target) -> None:
    """The counters, the flags, and whether it is stopped."""
    from .system import show

    show(target)


@system.command("check")
@verb
def system_check(target: Target) -> None:
    """Whether it may go on: exit code 3 if it is stopped."""
    from .system import check

    check(target)


@system.command("stop")
@verb
def system_stop(
    target: Target,
    *,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Told to all who ask.")],
    yes: Yes = False,
    confirm: Confirm = None,
    no_cache: NoCache = False,
) -> None:
    """Emergency stop: all who check are refused, within a second."""
    from . import system
    from .consent import Change

    system.stop(target, reason, Change(yes, confirm, no_cache))


@system.command("resume")
@verb
def system_resume(
    target: Target, *, yes: Yes = False, confirm: Confirm = None, no_cache: NoCache = False
) -> None:
    """Let all go on after an emergency stop."""
    from . import system
    from .consent import Change

    system.resume(target, Change(yes, confirm, no_cache))


@system.command("flag")
@verb
def system_flag(
    target: Target,
    *,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The feature's flag.")],
    switch: Annotated[Switch, typer.Argument(help="What it is to be.")],
    yes: Yes = False,
    confirm: Confirm = None,
    no_cache: NoCache = False,
) -> None:
    """Switch a feature on or off."""
    from . import system
    from .consent import Change

    system.flag(target, name, switch.value == "on", Change(yes, confirm, no_cache))
