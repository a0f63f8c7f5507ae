"""What is installed here, and whether an emulator that is named answers."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

from ...settings import Settings
from ..findings import Finding, fail, ok, warn


def tool_findings(settings: Settings) -> Iterator[Finding]:
    from ...testing.emulator import is_ready
    from ...testing.service import Address

    host = settings.firestore_emulator_host
    if host is not None:
        try:
            answers = is_ready(Address.parse(host))
        except ValueError:
            answers = False
        yield (
            ok("emulator", f"{host} answers")
            if answers
            else fail("emulator", f"{host} does not answer", "orchestra-memory emulator start")
        )
    remedies = {
        "java": "install Java 17 or newer; only the emulator needs it",
        "gcloud": "install the Google Cloud CLI; only the emulator and deployments need it",
    }
    for tool, remedy in remedies.items():
        path = shutil.which(tool)
        yield ok(tool, path) if path else warn(tool, "not on the PATH", remedy)
