"""From a target to its settings and its memory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from ..errors import ConfigurationError
from ..plan import Arguments, Plan, plan_for
from ..protocol import MemoryManager
from ..settings import Settings
from ..stack import Memory, open_memory
from ..urls import FirestoreUrl
from .output import note
from .verb import Target

INVALIDATE: Final = "orchestra-memory cache invalidate --all"


def settings_of(target: Target) -> Settings:
    """The settings, with what the command line says over them."""
    return Settings() if target.namespace is None else Settings(namespace=target.namespace)


def plan_of(target: Target, settings: Settings, *, no_cache: bool = False) -> Plan:
    """What `target` is made of. Raises ``ConfigurationError``."""
    plan = plan_for(settings, Arguments(url=target.url, cache=_cache(no_cache=no_cache)))
    if target.namespace is not None and plan.store.namespace != target.namespace:
        raise ConfigurationError("the URL names another namespace than --namespace; drop one")
    return plan


@asynccontextmanager
async def opened(target: Target) -> AsyncIterator[Memory]:
    """The memory that `target` names, without a fallback: this process ends soon.

    It would take over what others left in their journals, and could not wait for the store.
    """
    settings = settings_of(target)
    plan_of(target, settings)
    async with open_memory(target.url, fallback=False, settings=settings) as memory:
        yield memory


@asynccontextmanager
async def opened_to_write(target: Target, *, no_cache: bool) -> AsyncIterator[MemoryManager]:
    """The memory that `target` names, for a verb that changes it.

    With a cache, a write is refused while it cannot be told of it: this process ends before it
    could make up for that.
    """
    settings = settings_of(target)
    plan = plan_of(target, settings, no_cache=no_cache)
    refuse_silence(plan, settings, no_cache=no_cache)
    if plan.cache is not None:
        settings = settings.model_copy(update={"cache_mode": "strict"})
    cache = _cache(no_cache=no_cache)
    async with open_memory(target.url, cache=cache, fallback=False, settings=settings) as memory:
        yield memory
    if plan.cache is None and (_matters(plan, settings) or may_be_served(plan, settings)):
        note("if others read through a cache, run where it is configured: " + INVALIDATE)


def refuse_silence(plan: Plan, settings: Settings, *, no_cache: bool) -> None:
    """Raise where a write to `plan` would leave the cache that others read through as it was."""
    if plan.cache is None and _matters(plan, settings) and not no_cache:
        raise ConfigurationError(
            f"APP_ENV={settings.app_env}, and this would write to {plan.store} without a cache: "
            "whoever reads through one would go on reading the old. Name the Redis the others use "
            f"in ORCHESTRA_CACHE, or add --no-cache and then run {INVALIDATE}"
        )


def _matters(plan: Plan, settings: Settings) -> bool:
    """Whether others may depend on what the store and a cache in front of it say."""
    served = settings.app_env is not None and settings.app_env.is_served
    return served and isinstance(plan.store, FirestoreUrl)


def may_be_served(plan: Plan, settings: Settings) -> bool:
    """Whether this may be production for all that is said: a database at Google, and no more.

    From a laptop where ``APP_ENV`` is unset, a URL reaches the same data.
    """
    store = plan.store
    real = isinstance(store, FirestoreUrl) and store.emulator is None
    return real and settings.app_env is None


def _cache(*, no_cache: bool) -> str | None:
    return "none" if no_cache else None
