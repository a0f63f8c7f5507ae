"""What type checkers must see of functions with a substitute; checked, never run."""

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar, assert_type

from orchestra_memory import (
    AgentData,
    Breaker,
    BreakerSettings,
    Degraded,
    Fallback,
    MemoryItem,
    Record,
    Unavailable,
    fallback,
)

R = TypeVar("R", bound=Record)


async def smaller(failure: Exception, prompt: str, *, limit: int = 3) -> str:
    return f"{prompt}, {limit}, {failure}"


async def nothing(_failure: Exception, *_: object, **__: object) -> None:
    return None


async def last_known(_failure: Exception, _shelf: "Shelf", model: type[R], key: str) -> R | None:
    return model.model_validate(key)


def passing(error: Exception) -> bool:
    return isinstance(error, OSError)


def seen(degraded: Degraded) -> None:
    assert_type(degraded.failure, type[Exception])


@fallback(on=Unavailable, to=smaller)
async def ask(prompt: str, *, limit: int = 3) -> str:
    return f"{prompt}, {limit}"


@fallback(on=(Unavailable, TimeoutError), to=nothing, deadline=1.5, breaker=BreakerSettings())
async def ask_or_nothing(prompt: str, *, limit: int = 3) -> str:
    return f"{prompt}, {limit}"


@fallback(on=passing, to=nothing, breaker=Breaker(), hooks=[seen])
async def count(words: list[str]) -> int:
    return len(words)


class Shelf:
    @fallback(on=Unavailable, to=nothing)
    async def get(self, model: type[R], key: str) -> R | None:
        return model.model_validate(key)

    @fallback(on=Unavailable, to=last_known)
    async def newest(self, model: type[R], key: str) -> R | None:
        return model.model_validate(key)

    @classmethod
    @fallback(on=Unavailable, to=nothing)
    async def made(cls, name: str) -> str:
        return name

    @staticmethod
    @fallback(on=Unavailable, to=nothing)
    async def named(name: str) -> str:
        return name


async def functions() -> None:
    assert_type(await ask("tea", limit=1), str)
    assert_type(await ask_or_nothing("tea"), str | None)
    assert_type(await count(["tea"]), int | None)
    task: Callable[[str], Coroutine[Any, Any, str]] = ask
    assert_type(await task("tea"), str)


async def methods(shelf: Shelf) -> None:
    assert_type(await shelf.get(MemoryItem, "k"), MemoryItem | None)
    assert_type(await shelf.get(AgentData, "k"), AgentData | None)
    # Pyright adds Any where the substitute is generic, as nothing binds its variable.
    found: MemoryItem | None = await shelf.newest(MemoryItem, "k")
    assert_type(await Shelf.made("n"), str | None)
    assert_type(await Shelf.named("n"), str | None)
    in_place = Fallback(on=Unavailable, to=nothing)(shelf.get)
    assert_type(await in_place(MemoryItem, found.id if found else "k"), MemoryItem | None)


def not_async(_failure: Exception) -> str:
    return ""


async def mistakes(shelf: Shelf) -> None:
    await ask(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await ask("tea", most=1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await shelf.get(MemoryItem, 1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await shelf.get(str, "k")  # type: ignore[type-var]  # pyright: ignore[reportArgumentType]
    fallback(to=nothing)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    fallback(on=Unavailable, to=not_async)  # type: ignore[type-var]  # pyright: ignore[reportArgumentType]
    fallback(on=KeyboardInterrupt, to=nothing)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
