"""What is read, from where, and what is never shown."""

import copy
import json
import logging
import pickle
from pathlib import Path
from typing import get_args

import pytest
from pydantic import SecretStr

from orchestra_memory import ConfigurationError, Durability, Settings
from orchestra_memory.renames import Collections
from orchestra_memory.settings import AppEnv, Fallback

from .leaks import everything_said

SECRET = "hunter2"
STANDARD = {
    "APP_ENV",
    "GCP_PROJECT_ID",
    "GCP_SA_KEY_JSON",
    "GCP_SA_KEY_PATH",
    "GOOGLE_APPLICATION_CREDENTIALS",
    "REDIS_HOST",
    "REDIS_PORT",
    "REDIS_PASSWORD",
    "CACHE_TTL",
    "FIRESTORE_EMULATOR_HOST",
    "K_SERVICE",
    "CLOUD_RUN_JOB",
    "KUBERNETES_SERVICE_HOST",
}
GIVEN = {
    "APP_ENV": ("Production", AppEnv.PRODUCTION),
    "GCP_PROJECT_ID": ("p", "p"),
    "GCP_SA_KEY_JSON": ('{"a": 1}', SecretStr('{"a": 1}')),
    "GCP_SA_KEY_PATH": ("key.json", Path("key.json")),
    "GOOGLE_APPLICATION_CREDENTIALS": ("adc.json", Path("adc.json")),
    "REDIS_HOST": ("r", "r"),
    "REDIS_PORT": ("6380", 6380),
    "REDIS_PASSWORD": (SECRET, SecretStr(SECRET)),
    "CACHE_TTL": ("60", 60),
    "FIRESTORE_EMULATOR_HOST": ("h:1", "h:1"),
    "K_SERVICE": ("s", "s"),
    "CLOUD_RUN_JOB": ("j", "j"),
    "KUBERNETES_SERVICE_HOST": ("10.0.0.1", "10.0.0.1"),
    "ORCHESTRA_URL": ("local:", SecretStr("local:")),
    "ORCHESTRA_HOME": ("/var/lib/o", Path("/var/lib/o")),
    "ORCHESTRA_NAMESPACE": ("acme", "acme"),
    "ORCHESTRA_DATABASE": ("db", "db"),
    "ORCHESTRA_COLLECTIONS": ('{"memory_items": "items"}', {"memory_items": "items"}),
    "ORCHESTRA_RAMP": ("true", True),
    "ORCHESTRA_TIMEOUT": ("0.5", 0.5),
    "ORCHESTRA_CACHE": ("none", SecretStr("none")),
    "ORCHESTRA_CACHE_MODE": ("Strict", "strict"),
    "ORCHESTRA_CACHE_TIMEOUT": ("0.1", 0.1),
    "ORCHESTRA_FALLBACK": ("Journal", Fallback.JOURNAL),
    "ORCHESTRA_JOURNAL_DIR": ("j", Path("j")),
    "ORCHESTRA_JOURNAL_MEDIUM": ("Ephemeral", "ephemeral"),
    "ORCHESTRA_DRAIN": ("2.5", 2.5),
    "ORCHESTRA_MIN_DURABILITY": ("COMMITTED", Durability.COMMITTED),
    "ORCHESTRA_EMBEDDING_DIMENSIONS": ("768", 768),
    "ORCHESTRA_ALERT_WINDOW": ("60", 60.0),
    "ORCHESTRA_ALERT_ERRORS": ("0", 0),
    "ORCHESTRA_ALERT_FAILURE_RATE": ("0.5", 0.5),
    "ORCHESTRA_ALERT_LEAST_EVENTS": ("1", 1),
    "ORCHESTRA_ALERT_FAILED_AGENTS": ("3", 3),
}
FIELDS = {Settings.variable(name): name for name in Settings.model_fields}


def test_the_variables_are_the_standard_ones_and_ours() -> None:
    assert set(FIELDS) == set(GIVEN)
    assert {name for name in FIELDS if not name.startswith("ORCHESTRA_")} == STANDARD


@pytest.mark.parametrize("variable", GIVEN)
def test_every_variable_is_read_from_the_environment(
    variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    text, value = GIVEN[variable]
    monkeypatch.setenv(variable, text)
    settings = Settings()
    assert getattr(settings, FIELDS[variable]) == value
    assert settings.origins()[FIELDS[variable]] == "environment"


def test_every_variable_is_read_from_a_dotenv_file() -> None:
    Path(".env").write_text("\n".join(f"{name}='{text}'" for name, (text, _) in GIVEN.items()))
    settings = Settings()
    for variable, (_, value) in GIVEN.items():
        assert getattr(settings, FIELDS[variable]) == value
    assert set(settings.origins().values()) == {".env"}


def test_without_anything_said_the_defaults_hold() -> None:
    settings = Settings()
    assert set(settings.origins().values()) == {"default"}
    assert settings.app_env is None
    assert settings.home == Path(".orchestra")
    assert settings.database == "(default)"
    assert (settings.redis_port, settings.cache_ttl, settings.timeout) == (6379, 3600, 2.0)
    assert settings.min_durability is None
    assert not settings.collections


def test_an_argument_beats_the_environment_and_that_a_dotenv_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Path(".env").write_text(
        "ORCHESTRA_NAMESPACE=file\nORCHESTRA_TIMEOUT=1\nCACHE_TTL=1\nUNKNOWN=1\nORCHESTRA_X=1"
    )
    monkeypatch.setenv("ORCHESTRA_NAMESPACE", "environment")
    monkeypatch.setenv("ORCHESTRA_TIMEOUT", "4")
    settings = Settings(timeout=7)
    assert (settings.namespace, settings.timeout, settings.cache_ttl) == ("environment", 7.0, 1)
    origins = settings.origins()
    assert origins["timeout"] == "argument"
    assert origins["namespace"] == "environment"
    assert origins["cache_ttl"] == ".env"
    assert origins["url"] == "default"


def test_an_empty_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("REDIS_HOST=from-file\nGCP_PROJECT_ID=")
    monkeypatch.setenv("REDIS_HOST", "")
    settings = Settings()
    assert settings.redis_host == "from-file"
    assert settings.gcp_project_id is None


def test_other_variables_of_the_same_short_name_are_not_ours(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("URL", "TIMEOUT", "CACHE", "NAMESPACE", "DATABASE", "FALLBACK"):
        monkeypatch.setenv(name, "1")
    assert set(Settings().origins().values()) == {"default"}


@pytest.mark.parametrize("text", ["test", "testing", "TESTING", " Test "])
def test_testing_is_test(text: str) -> None:
    assert Settings(app_env=text).app_env is AppEnv.TEST


REFUSED = {
    "APP_ENV": ("prod", "'development', 'test', 'staging' or 'production'"),
    "REDIS_PORT": (SECRET, "valid integer"),
    "CACHE_TTL": ("0", "greater than 0"),
    "ORCHESTRA_TIMEOUT": ("inf", "finite"),
    "ORCHESTRA_NAMESPACE": ("a/b", "without '/'"),
    "ORCHESTRA_FALLBACK": ("redis", "'none', 'memory' or 'journal'"),
    "ORCHESTRA_JOURNAL_MEDIUM": ("tmpfs", "'persistent' or 'ephemeral'"),
    "ORCHESTRA_DRAIN": ("-1", "greater than or equal to 0"),
    "ORCHESTRA_MIN_DURABILITY": ("high", "'volatile', 'journaled' or 'committed'"),
    "ORCHESTRA_EMBEDDING_DIMENSIONS": ("4096", "2048"),
    "ORCHESTRA_ALERT_WINDOW": ("0", "greater than 0"),
    "ORCHESTRA_ALERT_FAILURE_RATE": ("2", "less than or equal to 1"),
}


@pytest.mark.parametrize("variable", REFUSED)
def test_what_does_not_fit_names_its_variable_its_source_and_the_choices(
    variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    text, remedy = REFUSED[variable]
    monkeypatch.setenv(variable, text)
    with pytest.raises(ConfigurationError) as refused:
        Settings()
    assert f"{variable} (from environment)" in str(refused.value)
    assert remedy in str(refused.value)


def test_everything_that_does_not_fit_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APP_ENV", "prod")
    Path(".env").write_text("CACHE_TTL=x")
    with pytest.raises(ConfigurationError, match=r"APP_ENV \(from environ.*CACHE_TTL \(from \.env"):
        Settings()


def test_an_unknown_argument_is_refused_by_name() -> None:
    with pytest.raises(ConfigurationError, match="no field 'cach_ttl'"):
        Settings(cach_ttl=1)  # type: ignore[call-arg]


def test_a_dotenv_file_that_is_not_text_is_a_configuration_error() -> None:
    Path(".env").write_bytes(f"REDIS_PASSWORD={SECRET}".encode() + b"\xff")
    with pytest.raises(ConfigurationError, match=r"^\.env in the working directory") as refused:
        Settings()
    assert SECRET not in everything_said(refused.value)


def test_collections_are_renamed_or_prefixed() -> None:
    renamed = Settings(collections={"memory_items": "items"}).collections
    assert dict(renamed) == {"memory_items": "items"}
    assert renamed.get("agent_data", "agent_data") == "agent_data"
    prefixed = Settings(collections="acme_").collections
    assert prefixed
    assert prefixed.get("notes", "notes") == "acme_notes"
    assert Settings(collections=prefixed).collections is prefixed


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("{", "a JSON map"),
        ('{"a": 1}', "must be text"),
        ({"a": "parts"}, "reserved"),
        ({"a": "__a"}, "'__'"),
        ({"a": "b/c"}, "without '/'"),
        ({"a": "c", "b": "c"}, "same name"),
        (7, "a JSON map"),
    ],
)
def test_collections_that_no_store_can_name_are_refused(value: object, why: str) -> None:
    with pytest.raises(ConfigurationError, match=why):
        Settings(collections=value)  # type: ignore[arg-type]


def secretive() -> Settings:
    return Settings(
        gcp_sa_key_json=SECRET,
        redis_password=SECRET,
        url=f"mongodb://u:{SECRET}@host/db",
        cache=f"rediss://u:{SECRET}@cache:6380/0?password={SECRET}",
    )


def test_no_form_of_the_settings_shows_a_secret() -> None:
    settings = secretive()
    forms = [
        repr(settings),
        str(settings),
        f"{settings}",
        str(settings.model_dump()),
        str(settings.model_dump(mode="json")),
        settings.model_dump_json(),
        str(settings.shown()),
        str(settings.origins()),
        repr(copy.copy(settings)),
    ]
    assert SECRET not in "".join(forms)


def test_the_masked_dump_shows_where_things_are() -> None:
    shown = secretive().shown()
    assert shown["url"] == "mongodb://**********@host/db"
    assert shown["cache"] == "rediss://**********@cache:6380/0?**********"
    assert shown["redis_password"] == "**********"
    assert shown["redis_host"] == ""
    assert shown["timeout"] == "2.0"
    assert Settings(cache="NONE").shown()["cache"] == "none"
    assert shown.keys() == Settings.model_fields.keys()


def test_every_secret_and_url_is_a_secret_string() -> None:
    secret = {n for n, f in Settings.model_fields.items() if SecretStr in get_args(f.annotation)}
    assert secret == {"gcp_sa_key_json", "redis_password", "url", "cache"}


@pytest.mark.parametrize("name", ["gcp_sa_key_json", "redis_password", "url", "cache"])
def test_an_error_beside_a_secret_does_not_carry_it(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(Settings.variable(name), SECRET)
    monkeypatch.setenv("CACHE_TTL", "x")
    with pytest.raises(ConfigurationError) as refused:
        Settings()
    assert SECRET not in everything_said(refused.value)
    with pytest.raises(ConfigurationError) as refused:
        Settings(**{name: [SECRET]})
    assert SECRET not in everything_said(refused.value)


def test_the_debug_log_of_pydantic_settings_does_not_carry_a_secret(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("PYDANTIC_SETTINGS_DEBUG", "1")
    monkeypatch.setenv("REDIS_PASSWORD", SECRET)
    with caplog.at_level(logging.DEBUG):
        Settings()
    assert caplog.records
    assert SECRET not in caplog.text


def test_settings_do_not_change() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Settings().timeout = 1.0  # type: ignore[misc]


def test_settings_can_be_copied_and_pickled() -> None:
    settings = Settings(timeout=3, collections="x_")
    for twin in (copy.deepcopy(settings), pickle.loads(pickle.dumps(settings))):
        assert twin.timeout == 3
        assert twin.origins()["timeout"] == "argument"
        assert twin.collections.get("a") == "x_a"


def test_collections_show_what_they_are() -> None:
    assert str(Collections(prefix="x_")) == "x_"
    assert json.loads(str(Collections({"a": "b"}))) == {"a": "b"}
    assert repr(Collections(prefix="x_")) == "Collections(x_)"
    assert len(Collections(prefix="x_")) == 0
