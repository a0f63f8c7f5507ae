"""Which Google credential wins, and whether it can be read."""

from __future__ import annotations

from collections.abc import Iterator

from ..backends.firestore.credentials import (
    APPLICATION_VARIABLE,
    JSON_VARIABLE,
    PATH_VARIABLE,
    credential_source,
    load_credentials,
)
from ..errors import ConfigurationError
from ..settings import Settings, revealed
from .findings import Finding, fail, ok, warn

WHAT = "credentials"


def credential_findings(settings: Settings, *, emulator: str | None) -> Iterator[Finding]:
    """What the first of the four sources holds, and which others it hides."""
    if emulator is not None:
        yield ok(WHAT, "none needed for an emulator")
        return
    source = credential_source(
        key_json=revealed(settings.gcp_sa_key_json),
        key_path=settings.gcp_sa_key_path,
        application=settings.google_application_credentials,
    )
    given = {
        JSON_VARIABLE: settings.gcp_sa_key_json,
        PATH_VARIABLE: settings.gcp_sa_key_path,
        APPLICATION_VARIABLE: settings.google_application_credentials,
    }
    hidden = [
        name for name, value in given.items() if value is not None and name != source.variable
    ]
    if hidden:
        yield warn(WHAT, f"{source} wins over {' and '.join(hidden)}", "unset what is not meant")
    try:
        load_credentials(source)
    except ConfigurationError as error:
        yield fail(WHAT, str(error))
    else:
        yield ok(WHAT, f"from {source}")
