"""Whether one function can be called in place of another."""

from __future__ import annotations

from collections.abc import Callable
from inspect import Parameter, signature


def must_fit(substitute: Callable[..., object], function: Callable[..., object]) -> None:
    """Raise ``TypeError`` unless `substitute` takes a failure and then what `function` takes."""
    try:
        parameters = signature(function).parameters.values()
        takes = signature(substitute)
    except ValueError:
        return  # there are built-in functions that do not tell what they take
    kinds = {parameter.kind for parameter in parameters}
    if kinds & {Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD}:
        return
    named = {p.name: p for p in parameters if p.kind is Parameter.KEYWORD_ONLY}
    others = [p for p in parameters if p.kind is not Parameter.KEYWORD_ONLY]
    try:
        takes.bind(None, *others, **named)
    except TypeError as error:
        raise TypeError(
            f"to: {name_of(substitute)} has to take the failure and then the arguments of "
            f"{name_of(function)}: {error}"
        ) from error


def name_of(function: Callable[..., object]) -> str:
    """The module of a function and its name there; of another callable, the name of its type."""
    name = getattr(function, "__qualname__", type(function).__qualname__)
    return f"{function.__module__}.{name}"
