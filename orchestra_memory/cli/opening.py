"""From a target to its settings and its memory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ..errors import ConfigurationError
from ..plan import Arguments, Plan, plan_for
from ..protocol import MemoryManager
from ..settings import Settings
from ..stack import open_memory
from .verb import Target


def settings_of(target: Target) -> Settings:
    """The settings, with what the command line says over them."""
    return Settings() if target.namespace is None else Settings(namespace=target.namespace)


def plan_of(target: Target, settings: Settings) -> Plan:
    """What `target` is made of. Raises ``ConfigurationError``."""
    plan = plan_for(settings, Arguments(url=target.url))
    if target.namespace is not None and plan.store.namespace != target.namespace:
        raise ConfigurationError("the URL names another namespace than --namespace; drop one")
    return plan


@asynccontextmanager
async def opened(target: Target) -> AsyncIterator[MemoryManager]:
    """The memory that `target` names."""
    settings = settings_of(target)
    plan_of(target, settings)
    async with open_memory(target.url, settings=settings) as memory:
        yield memory
