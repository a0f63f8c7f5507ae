"""A virtual environment for each peer, made once and kept until its requirements change."""

from __future__ import annotations

import json
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from ..result import Report
from .catalogue import Peer

FOLDER: Final = Path(__file__).parent.parent / ".venvs"
STAMP: Final = "requirements.json"
"""Says what an environment was made for; written last, so half an environment has none."""
INSTALL_SECONDS: Final = 900.0


class NotInstalled(Exception):
    """A peer's packages could not be installed; the message says why."""


def python_for(peer: Peer, report: Report, *, folder: Path = FOLDER) -> Path:
    """The interpreter of the peer's environment, which is made if need be.

    Raises ``NotInstalled`` where that fails, perhaps because the package index is out of reach.
    """
    place = folder / peer.name
    python = place / "bin" / "python"
    if not is_ready(place, peer):
        report(f"{peer.name}: installing {', '.join(peer.requirements)} in {place}")
        shutil.rmtree(place, ignore_errors=True)
        _run([sys.executable, "-m", "venv", str(place)])
        _run([str(python), "-m", "pip", "install", "--quiet", *peer.requirements])
        (place / STAMP).write_text(json.dumps(stamp(peer)))
    return python


def is_ready(place: Path, peer: Peer) -> bool:
    try:
        return bool(json.loads((place / STAMP).read_text()) == stamp(peer))
    except (FileNotFoundError, ValueError):
        return False


def stamp(peer: Peer) -> list[str]:
    return [platform.python_version(), *peer.requirements]


def _run(command: list[str]) -> None:
    try:
        subprocess.run(command, capture_output=True, text=True, check=True, timeout=INSTALL_SECONDS)
    except subprocess.CalledProcessError as error:
        raise NotInstalled(last_line(error.stderr) or f"exit status {error.returncode}") from None
    except subprocess.TimeoutExpired:
        raise NotInstalled(f"not done after {INSTALL_SECONDS:.0f} s") from None


def last_line(text: str) -> str:
    """The last line that says something: pip tells what went wrong at the end."""
    lines = [line.strip() for line in text.splitlines()]
    errors = [line for line in lines if line.startswith("ERROR")]
    return ([*filter(None, lines), *errors] or [""])[-1]
