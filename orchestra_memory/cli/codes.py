"""Exit codes, and how errors become them."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum

import typer

from ..errors import CacheUnavailable, OrchestraMemoryError, Unavailable


class Code(IntEnum):
    """What the command's exit code says; these do not change."""

    OK = 0
    FAILURE = 1
    USAGE = 2
    PROBLEMS = 3
    UNAVAILABLE = 4
    INTERRUPTED = 130
    PIPE_CLOSED = 141


@contextmanager
def reporting() -> Iterator[None]:
    """Turn the library's errors into one line and a code; a bug keeps its traceback."""
    try:
        yield
        sys.stdout.flush()
    except KeyboardInterrupt:
        raise typer.Exit(Code.INTERRUPTED) from None
    except OrchestraMemoryError as error:
        raise typer.Exit(_reported(error)) from None
    except BrokenPipeError:
        # Whoever read has gone; Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(Code.PIPE_CLOSED) from None
    except OSError as error:
        # A full disk, a missing folder: nothing that a traceback would explain.
        raise typer.Exit(_reported(error)) from None
    except BaseExceptionGroup as group:
        ours, bugs = group.split(OrchestraMemoryError)
        if ours is None or bugs is not None:
            raise
        raise typer.Exit(_reported(_first(ours))) from None


def _first(group: BaseExceptionGroup[OrchestraMemoryError]) -> OrchestraMemoryError:
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error


def _reported(error: OrchestraMemoryError | OSError) -> Code:
    text = str(error)
    if not isinstance(error, OrchestraMemoryError) and error.strerror:
        text = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    print("error:", " ".join(text.split()), file=sys.stderr)
    unanswered = isinstance(error, Unavailable | CacheUnavailable)
    return Code.UNAVAILABLE if unanswered else Code.FAILURE
