"""Whether Google takes a credential: a token fetched, and until when it holds."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final, cast

from ...errors import Unauthenticated, Unavailable
from .credentials import CredentialSource, load_credentials

SECONDS: Final = 5.0
"""For one request to whoever hands out tokens."""
_CODE: Final = re.compile(r"[a-z_]{1,40}")


@dataclass(frozen=True, slots=True)
class Token:
    """What a credential was given. ``account`` is empty where it does not say whose it is.

    ``expires`` is ``None`` where the token does not say either; a new one is fetched by itself.
    """

    account: str
    expires: datetime | None


def fetch_token(source: CredentialSource) -> Token:
    """Have Google hand out a token; blocks, for some seconds where nobody answers.

    Raises ``ConfigurationError`` for a credential that cannot be read, ``Unauthenticated`` for one
    that is refused, and ``Unavailable`` where nobody could be asked.
    """
    from google.auth import exceptions
    from google.auth.transport import requests

    credentials: Any = load_credentials(source)
    untyped: Any = requests
    try:
        credentials.refresh(partial(untyped.Request(), timeout=SECONDS))
    except exceptions.RefreshError as error:
        failure: Exception = _refused(source, error)
    except exceptions.GoogleAuthError as error:
        failure = Unavailable(
            f"no token can be fetched ({type(error).__name__})", operation="token"
        )
    else:
        return Token(_account(credentials), _expiry(credentials))
    # The driver's error may hold what it was sent.
    raise failure from None


def _refused(source: CredentialSource, error: Any) -> Exception:
    if error.retryable:
        return Unavailable("no token can be fetched now: Google says to try again")
    code = _CODE.match(str(error.args[0])) if error.args else None
    reason = f" ({code[0]})" if code else ""
    return Unauthenticated(f"Google refuses the credential of {source}{reason}", operation="token")


def _account(credentials: Any) -> str:
    account = getattr(credentials, "service_account_email", None)
    return account if isinstance(account, str) and "@" in account else ""


def _expiry(credentials: Any) -> datetime | None:
    expiry = cast("datetime | None", credentials.expiry)
    return None if expiry is None else expiry.replace(tzinfo=expiry.tzinfo or UTC)
