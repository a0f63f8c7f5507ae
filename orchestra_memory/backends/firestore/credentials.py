"""Google credentials: which of the four sources wins, and what it holds.

Nothing of a key gets into a message, and no error of a driver is chained: they carry the input.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from ...errors import ConfigurationError

if TYPE_CHECKING:
    from google.auth.credentials import Credentials

    KeyFile: TypeAlias = Mapping[str, object]

JSON_VARIABLE = "GCP_SA_KEY_JSON"
PATH_VARIABLE = "GCP_SA_KEY_PATH"
APPLICATION_VARIABLE = "GOOGLE_APPLICATION_CREDENTIALS"

SCOPES = ("https://www.googleapis.com/auth/datastore",)
_REQUIRED = ("client_email", "private_key", "token_uri")
_SERVICE_ACCOUNT = "service_account"


@dataclass(frozen=True, slots=True)
class CredentialSource:
    """Where the credentials come from; ``variable`` is empty for application default ones."""

    variable: str = ""
    text: str | None = field(default=None, repr=False)
    path: Path | None = None

    def __str__(self) -> str:
        return self.variable or "application default credentials"

    @property
    def any_kind(self) -> bool:
        """Whether something other than a service-account key will do."""
        return self.variable == APPLICATION_VARIABLE


def credential_source(
    *, key_json: str | None, key_path: Path | None, application: Path | None
) -> CredentialSource:
    """The first that is set: JSON, its file, any credential file, application default."""
    if key_json is not None:
        return CredentialSource(JSON_VARIABLE, text=key_json)
    if key_path is not None:
        return CredentialSource(PATH_VARIABLE, path=key_path)
    if application is not None:
        return CredentialSource(APPLICATION_VARIABLE, path=application)
    return CredentialSource()


def load_credentials(source: CredentialSource) -> Credentials:
    """Credentials for Firestore. Reads files and may ask the metadata server: call it in a thread.

    Raises ``ConfigurationError`` naming the variable and what to do.
    """
    if not source.variable:
        return _application_default()
    info = _key_file(source)
    kind = info.get("type")
    if kind != _SERVICE_ACCOUNT and source.any_kind:
        return _other_kind(source, info)
    missing = [name for name in _REQUIRED if not isinstance(info.get(name), str)]
    if kind != _SERVICE_ACCOUNT or missing:
        lacks = f"it lacks {', '.join(missing)}" if missing else "its type is another"
        raise ConfigurationError(
            f"{source} is no service-account key: {lacks}; give the JSON key that Google Cloud "
            "makes under IAM, service accounts, keys"
        )
    credentials = _service_account(info)
    if credentials is None:
        raise ConfigurationError(
            f"{source}: the private_key cannot be read; give it as it is in the key file, its line "
            "breaks as \\n inside the JSON"
        )
    return credentials


def _key_file(source: CredentialSource) -> KeyFile:
    text = source.text if source.path is None else _content(source, source.path)
    info = _parsed(text or "")
    if info is None:
        raise ConfigurationError(
            f"{source} does not hold a JSON object; give the key file's whole text, unchanged"
            if source.path is None
            else f"{source}: the file does not hold a JSON object; give the path of a key file"
        )
    return info


def _content(source: CredentialSource, path: Path) -> str:
    try:
        return path.expanduser().read_text(encoding="utf-8")
    except FileNotFoundError:
        problem = "there is no such file"
    except UnicodeDecodeError:
        problem = "it is not text in UTF-8"
    except (OSError, RuntimeError) as error:
        problem = f"it cannot be read ({type(error).__name__})"
    raise ConfigurationError(
        f"{source}: {problem}; give the path of a key file this process may read"
    )


def _parsed(text: str) -> KeyFile | None:
    try:
        value: object = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return cast("KeyFile", value) if isinstance(value, dict) else None


def _service_account(info: KeyFile) -> Credentials | None:
    from google.oauth2 import service_account

    make: Any = service_account.Credentials
    try:
        return cast("Credentials", make.from_service_account_info(info, scopes=SCOPES))
    except (ValueError, TypeError):
        return None


def _other_kind(source: CredentialSource, info: KeyFile) -> Credentials:
    import google.auth
    from google.auth.exceptions import GoogleAuthError

    untyped: Any = google.auth
    try:
        with warnings.catch_warnings():
            # It warns of files from strangers; this one the operator names.
            warnings.simplefilter("ignore", DeprecationWarning)
            loaded = untyped.load_credentials_from_dict(info, scopes=SCOPES)
            return cast("Credentials", loaded[0])
    except (GoogleAuthError, ValueError, TypeError, KeyError):
        pass
    raise ConfigurationError(
        f"{source}: the file is no credential that Google knows; make one with "
        "`gcloud auth application-default login`, or give a service-account key"
    )


def _application_default() -> Credentials:
    import google.auth
    from google.auth.exceptions import GoogleAuthError

    untyped: Any = google.auth
    try:
        return cast("Credentials", untyped.default(scopes=SCOPES)[0])
    except (GoogleAuthError, OSError, ValueError) as error:
        problem = type(error).__name__
    raise ConfigurationError(
        f"no Google credentials ({problem}): set {JSON_VARIABLE}, {PATH_VARIABLE} or "
        f"{APPLICATION_VARIABLE}, run `gcloud auth application-default login`, or give the "
        "machine a service account"
    )
