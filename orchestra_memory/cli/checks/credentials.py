"""Which Google credential wins, whether it can be read, and whether Google takes it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Final

from ...backends.firestore.credentials import (
    APPLICATION_VARIABLE,
    JSON_VARIABLE,
    PATH_VARIABLE,
    CredentialSource,
    credential_source,
)
from ...backends.firestore.tokens import Token, fetch_token
from ...errors import ConfigurationError, Unauthenticated, Unavailable
from ...settings import Settings, revealed
from ...values import utc_now
from ..findings import Finding, fail, ok, warn
from .durations import duration

WHAT: Final = "credentials"
RENEW: Final = (
    "if its key has expired or was deleted, make another: gcloud iam service-accounts keys create; "
    "for a login of your own: gcloud auth application-default login. A wrong clock does it, too"
)


def credential_findings(settings: Settings, *, emulator: str | None) -> Iterator[Finding]:
    """What the first of the four sources holds, and which others it hides."""
    if emulator is not None:
        yield ok(WHAT, "none needed for an emulator")
        return
    source = source_of(settings)
    hidden = [name for name in _given(settings) if name != source.variable]
    if hidden:
        yield warn(WHAT, f"{source} wins over {' and '.join(hidden)}", "unset what is not meant")
    try:
        yield ok(WHAT, _taken(source, fetch_token(source), utc_now()))
    except ConfigurationError as error:
        yield fail(WHAT, str(error))
    except Unauthenticated as error:
        yield fail(WHAT, str(error), RENEW)
    except Unavailable as error:
        yield warn(WHAT, f"from {source}; {error}", "is there a way out to Google from here?")


def source_of(settings: Settings) -> CredentialSource:
    return credential_source(
        key_json=revealed(settings.gcp_sa_key_json),
        key_path=settings.gcp_sa_key_path,
        application=settings.google_application_credentials,
    )


def _given(settings: Settings) -> list[str]:
    given = {
        JSON_VARIABLE: settings.gcp_sa_key_json,
        PATH_VARIABLE: settings.gcp_sa_key_path,
        APPLICATION_VARIABLE: settings.google_application_credentials,
    }
    return [name for name, value in given.items() if value is not None]


def _taken(source: CredentialSource, token: Token, now: datetime) -> str:
    account = f", {token.account}" if token.account else ""
    if token.expires is None:
        return f"from {source}{account}; Google takes it"
    left = (token.expires - now).total_seconds()
    return f"from {source}{account}; Google takes it, the next token in {duration(left)}"
