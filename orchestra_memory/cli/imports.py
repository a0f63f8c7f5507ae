"""Modules with record types of the user's, imported so that they are known here."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path

from ..errors import ConfigurationError
from ..layers.fallback.queue import known_models
from ..record import Record
from ..transfer.backup import KEPT


def import_all(modules: Iterable[str]) -> None:
    """Import them, also from the current directory. Raises ``ConfigurationError``."""
    here = str(Path.cwd())
    for module in modules:
        if here not in sys.path:
            # As where Python runs a script: the command lies elsewhere.
            sys.path.insert(0, here)
        try:
            import_module(module)
        except ModuleNotFoundError as error:
            raise ConfigurationError(
                f"--import {module}: there is no module {error.name}; run this where your "
                "application runs, or set PYTHONPATH"
            ) from error


def models_with(modules: Iterable[str]) -> tuple[type[Record], ...]:
    """What the library keeps, and the record types of the user's if any modules were named."""
    own = [
        model
        for model in known_models().values()
        if not model.__module__.startswith(f"{Record.__module__.partition('.')[0]}.")
    ]
    return (*KEPT, *(own if any(modules) else ()))
