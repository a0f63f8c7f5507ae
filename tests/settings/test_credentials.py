"""Which credentials win, and what broken ones say."""

import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.oauth2 import service_account
from google.oauth2.credentials import Credentials as UserCredentials

from orchestra_memory import ConfigurationError
from orchestra_memory.backends.firestore.credentials import (
    CredentialSource,
    credential_source,
    load_credentials,
)

from .leaks import everything_said

SECRET = "hunter2"


@pytest.fixture(scope="session")
def private_key() -> str:
    private = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
    pem = private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return pem.decode()


@pytest.fixture
def key(private_key: str) -> dict[str, str]:
    """A service-account key such as Google makes them, of an account that does not exist."""
    return {
        "type": "service_account",
        "project_id": "project",
        "private_key_id": "1",
        "private_key": private_key,
        "client_email": "agent@project.iam.gserviceaccount.com",
        "token_uri": "https://oauth2.googleapis.com/token",
    }


def by_json(text: str) -> CredentialSource:
    return credential_source(key_json=text, key_path=None, application=None)


def by_path(path: Path) -> CredentialSource:
    return credential_source(key_json=None, key_path=path, application=None)


def by_application(path: Path) -> CredentialSource:
    return credential_source(key_json=None, key_path=None, application=path)


def written(content: object) -> Path:
    path = Path("key.json")
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


@pytest.mark.parametrize("text", [None, "{}"])
@pytest.mark.parametrize("path", [None, Path("p")])
@pytest.mark.parametrize("application", [None, Path("a")])
def test_the_first_of_the_four_sources_wins(
    text: str | None, path: Path | None, application: Path | None
) -> None:
    source = credential_source(key_json=text, key_path=path, application=application)
    if text:
        assert (source.variable, source.text) == ("GCP_SA_KEY_JSON", "{}")
    elif path:
        assert (source.variable, source.path) == ("GCP_SA_KEY_PATH", path)
    elif application:
        assert (source.variable, source.path) == ("GOOGLE_APPLICATION_CREDENTIALS", application)
    else:
        assert source == CredentialSource()
        assert str(source) == "application default credentials"


def test_a_source_does_not_show_its_key() -> None:
    assert SECRET not in repr(by_json(SECRET))


@pytest.mark.parametrize("given", ["json", "path", "application"])
def test_a_service_account_key_is_loaded_from_each_source(given: str, key: dict[str, str]) -> None:
    sources = {
        "json": by_json(json.dumps(key)),
        "path": by_path(written(key)),
        "application": by_application(written(key)),
    }
    credentials = load_credentials(sources[given])
    assert isinstance(credentials, service_account.Credentials)
    assert credentials.service_account_email == key["client_email"]
    assert list(credentials.scopes) == ["https://www.googleapis.com/auth/datastore"]


def test_a_path_may_begin_at_home(key: dict[str, str]) -> None:
    Path("~").expanduser().mkdir()
    Path("~/key.json").expanduser().write_text(json.dumps(key))
    assert load_credentials(by_path(Path("~/key.json")))


def user() -> dict[str, str]:
    return {
        "type": "authorized_user",
        "client_id": "c",
        "client_secret": SECRET,
        "refresh_token": SECRET,
        "quota_project_id": "project",
    }


def test_google_application_credentials_may_be_of_any_kind() -> None:
    credentials = load_credentials(by_application(written(user())))
    assert isinstance(credentials, UserCredentials)


def test_application_default_credentials_are_found_where_gcloud_keeps_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Otherwise Google's library runs gcloud to ask for the project.
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "project")
    Path("gcloud").mkdir()
    Path("gcloud/application_default_credentials.json").write_text(json.dumps(user()))
    assert isinstance(load_credentials(CredentialSource()), UserCredentials)


def refusal(source: CredentialSource) -> str:
    with pytest.raises(ConfigurationError) as refused:
        load_credentials(source)
    said = everything_said(refused.value)
    assert SECRET not in said
    assert "PRIVATE" not in said
    return str(refused.value)


def test_without_any_credentials_every_way_to_give_them_is_named() -> None:
    said = refusal(CredentialSource())
    for way in ("GCP_SA_KEY_JSON", "GCP_SA_KEY_PATH", "GOOGLE_APPLICATION_CREDENTIALS", "gcloud"):
        assert way in said


@pytest.mark.parametrize("text", [f"{{{SECRET}", f'"{SECRET}"', "[" * 100_000, SECRET, ""])
def test_broken_json_names_the_variable_and_nothing_of_it(text: str) -> None:
    assert "GCP_SA_KEY_JSON does not hold a JSON object" in refusal(by_json(text))
    assert "GCP_SA_KEY_PATH: the file does not hold a JSON object" in refusal(
        by_path(written(text))
    )


def test_a_missing_file_names_the_variable() -> None:
    assert "GCP_SA_KEY_PATH: there is no such file" in refusal(by_path(Path("absent.json")))


def test_an_unreadable_file_names_the_variable() -> None:
    Path("directory").mkdir()
    assert "GOOGLE_APPLICATION_CREDENTIALS: it cannot be read (IsADirectoryError)" in refusal(
        by_application(Path("directory"))
    )


def test_a_file_that_is_not_text_names_the_variable() -> None:
    path = Path("key.p12")
    path.write_bytes(SECRET.encode() + b"\xff\xfe")
    assert "GCP_SA_KEY_PATH: it is not text in UTF-8" in refusal(by_path(path))


def test_a_key_that_lacks_fields_names_them(key: dict[str, str]) -> None:
    del key["client_email"], key["token_uri"]
    key["private_key"] = SECRET
    assert "it lacks client_email, token_uri" in refusal(by_json(json.dumps(key)))


def test_a_credential_of_another_kind_is_no_service_account_key(key: dict[str, str]) -> None:
    assert "GCP_SA_KEY_JSON is no service-account key: it lacks client_email" in refusal(
        by_json(json.dumps(user()))
    )
    assert "its type is another" in refusal(by_json(json.dumps({**key, "type": SECRET})))


def test_a_wrong_private_key_says_how_to_give_it(key: dict[str, str]) -> None:
    for wrong in (SECRET, key["private_key"].replace("\n", "\\n"), key["private_key"][:200]):
        said = refusal(by_json(json.dumps({**key, "private_key": wrong})))
        assert "GCP_SA_KEY_JSON: the private_key cannot be read" in said


@pytest.mark.parametrize("content", [{"type": SECRET}, {"type": "authorized_user", "x": SECRET}])
def test_a_file_google_does_not_know_names_the_variable(content: dict[str, str]) -> None:
    said = refusal(by_application(written(content)))
    assert "GOOGLE_APPLICATION_CREDENTIALS: the file is no credential" in said
