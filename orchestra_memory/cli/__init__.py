"""The ``orchestra-memory`` command."""

import io
import sys


def main() -> None:
    """Run the command line; exits with the codes of :mod:`orchestra_memory.cli.codes`."""
    from .app import app

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal that lacks a letter still shows the rest.
            stream.reconfigure(errors="replace")
    app(prog_name="orchestra-memory")
