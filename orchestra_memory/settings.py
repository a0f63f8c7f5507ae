"""What the environment, a ``.env`` file and the caller say; read once, in ``open_memory()``.

Secrets are ``SecretStr``. No message, ``repr`` or dump holds one, and no error keeps one in its
chain, which is why pydantic's own errors are replaced and not chained.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, TypeAlias, get_args

from pydantic import BeforeValidator, Field, PrivateAttr, SecretStr, ValidationError
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from .errors import ConfigurationError
from .operations import Durability, checked_namespace
from .renames import AnyCollections, Collections
from .urls import MASK, masked_url
from .values import MAX_VECTOR_DIMENSIONS

PREFIX = "ORCHESTRA_"
DOTENV = ".env"

Origin: TypeAlias = Literal["argument", "environment", ".env", "default"]
_Medium: TypeAlias = Literal["persistent", "ephemeral"]


class AppEnv(StrEnum):
    """Which stack `open_memory()` composes when no URL says it."""

    DEVELOPMENT = "development"
    TEST = "test"
    STAGING = "staging"
    PRODUCTION = "production"

    @property
    def is_served(self) -> bool:
        """Whether people depend on it: staging and production."""
        return self in {AppEnv.STAGING, AppEnv.PRODUCTION}


class Fallback(StrEnum):
    """What a store that does not answer is replaced by."""

    NONE = "none"
    MEMORY = "memory"
    JOURNAL = "journal"


def _lower(value: object) -> object:
    return value.strip().lower() if isinstance(value, str) else value


def _app_env(value: object) -> object:
    value = _lower(value)
    return "test" if value == "testing" else value


def _namespace(value: object) -> object:
    return checked_namespace(value) if isinstance(value, str) else value


class Settings(BaseSettings):
    """Every setting; ``Settings.variable(field)`` is the name of its environment variable.

    A value given here wins over the environment, the environment over a ``.env`` file in the
    working directory; an empty variable counts as unset. Raises ``ConfigurationError`` naming the
    variables that do not fit.
    """

    # Standard names are their own alias, which exempts them from the prefix.
    model_config: ClassVar[SettingsConfigDict] = SettingsConfigDict(
        env_prefix=PREFIX,
        env_file=DOTENV,
        env_file_encoding="utf-8",
        env_ignore_empty=True,
        dotenv_filtering="only_existing",
        enable_decoding=False,
        frozen=True,
        extra="forbid",
        arbitrary_types_allowed=True,
    )

    app_env: Annotated[AppEnv | None, BeforeValidator(_app_env)] = Field(
        default=None,
        validation_alias="app_env",
        description="Picks the stack: `development`, `test` (or `testing`), `staging` or "
        "`production`, in any case.",
    )
    gcp_project_id: str | None = Field(
        default=None,
        validation_alias="gcp_project_id",
        description="The Google Cloud project of the Firestore database.",
    )
    gcp_sa_key_json: SecretStr | None = Field(
        default=None,
        validation_alias="gcp_sa_key_json",
        description="A service-account key: the JSON text itself. First choice of credentials.",
    )
    gcp_sa_key_path: Path | None = Field(
        default=None,
        validation_alias="gcp_sa_key_path",
        description="The file of a service-account key. Second choice of credentials.",
    )
    google_application_credentials: Path | None = Field(
        default=None,
        validation_alias="google_application_credentials",
        description="A credential file of any kind Google knows. Third choice; without it, "
        "application default credentials.",
    )
    redis_host: str | None = Field(
        default=None,
        validation_alias="redis_host",
        description="The Redis of the cache in staging and production.",
    )
    redis_port: int = Field(
        default=6379, ge=1, le=65_535, validation_alias="redis_port", description="Its port."
    )
    redis_password: SecretStr | None = Field(
        default=None, validation_alias="redis_password", description="Its password."
    )
    cache_ttl: int = Field(
        default=3600,
        gt=0,
        validation_alias="cache_ttl",
        description="Seconds for which the cache keeps what nothing has changed.",
    )
    firestore_emulator_host: str | None = Field(
        default=None,
        validation_alias="firestore_emulator_host",
        description="`host:port` of a Firestore emulator, used for a `firestore:` URL that names "
        "none. Refused in staging and production.",
    )
    k_service: str | None = Field(
        default=None,
        validation_alias="k_service",
        description="Set by Cloud Run on services; only looked at.",
    )
    cloud_run_job: str | None = Field(
        default=None,
        validation_alias="cloud_run_job",
        description="Set by Cloud Run on jobs; only looked at.",
    )
    kubernetes_service_host: str | None = Field(
        default=None,
        validation_alias="kubernetes_service_host",
        description="Set by Kubernetes; only looked at.",
    )

    url: SecretStr | None = Field(
        default=None, description="The store, as a URL; see below. It wins over `APP_ENV`."
    )
    home: Path = Field(
        default=Path(".orchestra"),
        description="Directory of the embedded database and, by default, of the journals.",
    )
    namespace: Annotated[str | None, BeforeValidator(_namespace)] = Field(
        default=None, description="The tenant every call is made for, unless the URL names one."
    )
    database: str = Field(
        default="(default)", min_length=1, description="The Firestore database in the project."
    )
    collections: AnyCollections = Field(
        default=Collections(),
        description="Firestore only: a prefix for all collections (`acme_`), or a JSON map "
        'that renames single ones (`{"memory_items": "items"}`).',
    )
    ramp: bool = Field(
        default=False,
        description="Firestore only: hold bulk writes to 500 operations a second at first, and "
        "half as many more every five minutes, as Firestore asks for new collections.",
    )
    timeout: float = Field(
        default=2.0,
        gt=0,
        allow_inf_nan=False,
        description="Seconds within which one operation is answered, retries included.",
    )
    cache: SecretStr | None = Field(
        default=None,
        description="The Redis of the cache as a URL (`redis://`, `rediss://`, `unix://`, "
        "`redis+sentinel://`, `redis+cluster://`), or `none`: no cache is meant. It wins over "
        "`REDIS_HOST`.",
    )
    cache_mode: Annotated[Literal["available", "strict"], BeforeValidator(_lower)] = Field(
        default="available",
        description="What becomes of a write while Redis does not answer: `available` stores it, "
        "and other processes may read the old record for at most `CACHE_TTL` and a tenth of it; "
        "`strict` refuses it.",
    )
    cache_timeout: float = Field(
        default=0.05,
        gt=0,
        allow_inf_nan=False,
        description="Seconds Redis may take for a step of an operation before the operation goes "
        "on without it.",
    )
    fallback: Annotated[Fallback | None, BeforeValidator(_lower)] = Field(
        default=None,
        description="What an outage degrades to: `journal`, `memory`, or `none`: nothing, an "
        "outage is an error.",
    )
    journal_dir: Path | None = Field(
        default=None,
        description="Directory of the outage journals; else `journal` under `ORCHESTRA_HOME`.",
    )
    journal_medium: Annotated[_Medium | None, BeforeValidator(_lower)] = Field(
        default=None,
        description="Whether that directory outlives the machine: `persistent` or `ephemeral`; "
        "else found out. On Cloud Run and in memory it does not.",
    )
    drain: float = Field(
        default=8.0,
        ge=0,
        allow_inf_nan=False,
        description="Seconds for which closing waits at most for writes of an outage to reach the "
        "store.",
    )
    min_durability: Annotated[Durability | None, BeforeValidator(_lower)] = Field(
        default=None,
        description="Refuse writes kept less safely: `volatile`, `journaled` or `committed`. By "
        "default, less than the medium of the journal gives.",
    )
    embedding_dimensions: int | None = Field(
        default=None,
        ge=1,
        le=MAX_VECTOR_DIMENSIONS,
        description="Numbers in every embedding; unset takes any length.",
    )
    alert_window: float = Field(
        default=3600.0,
        gt=0,
        allow_inf_nan=False,
        description="Seconds up to now that alerts look at.",
    )
    alert_errors: int = Field(
        default=100, ge=0, description="An alert fires for more failed events in that time."
    )
    alert_failure_rate: float = Field(
        default=0.1,
        ge=0,
        le=1,
        description="An alert fires for a greater share of failures in what succeeded or failed.",
    )
    alert_least_events: int = Field(
        default=20, ge=1, description="Events from which on their share of failures counts."
    )
    alert_failed_agents: int = Field(
        default=10, ge=0, description="An alert fires for more agents with the status `error`."
    )

    _origins: Mapping[str, Origin] = PrivateAttr(default_factory=dict[str, Origin])

    if not TYPE_CHECKING:

        def __init__(self, **values: object) -> None:
            given = _sealed(type(self), values)
            merged = {
                name: value for source in reversed(given.values()) for name, value in source.items()
            }
            origins = {name: origin for origin in reversed(given) for name in given[origin]}
            problem = ""
            try:
                super().__init__(**merged)
            except ValidationError as error:
                problem = _problem(error, origins)
            if problem:
                raise ConfigurationError(problem)
            self._origins = origins

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The constructor has read the other sources already, to know who said what."""
        return (init_settings,)

    @classmethod
    def variable(cls, name: str) -> str:
        """The environment variable of a field."""
        standard = cls.model_fields[name].validation_alias
        return name.upper() if standard else f"{PREFIX}{name.upper()}"

    def origins(self) -> dict[str, Origin]:
        """Who said it, for every field."""
        return {name: self._origins.get(name, "default") for name in type(self).model_fields}

    def shown(self) -> dict[str, str]:
        """Every field as text that may be shown: secrets masked, URLs without passwords."""
        return {name: _shown(name, getattr(self, name)) for name in type(self).model_fields}


def revealed(secret: SecretStr | None) -> str | None:
    """The text of a secret, for the one who connects with it."""
    return None if secret is None else secret.get_secret_value()


def _sealed(cls: type[Settings], values: Mapping[str, object]) -> dict[Origin, dict[str, object]]:
    """What each source gives, strongest first, secrets wrapped before anything can print them."""
    sources: dict[Origin, Mapping[str, object]] = {
        "argument": values,
        "environment": EnvSettingsSource(cls)(),
        ".env": _dotenv(cls),
    }
    secret = {n for n, info in cls.model_fields.items() if SecretStr in get_args(info.annotation)}
    return {
        origin: {
            name: SecretStr(value) if name in secret and isinstance(value, str) else value
            for name, value in source.items()
        }
        for origin, source in sources.items()
    }


def _dotenv(cls: type[Settings]) -> Mapping[str, object]:
    try:
        return DotEnvSettingsSource(cls)()
    except (OSError, UnicodeDecodeError) as error:
        problem = type(error).__name__
    raise ConfigurationError(
        f"{DOTENV} in the working directory cannot be read ({problem}); make it a readable file in "
        "UTF-8, or remove it"
    )


def _problem(error: ValidationError, origins: Mapping[str, Origin]) -> str:
    details = error.errors(include_url=False, include_context=False, include_input=False)
    return "; ".join(sorted({_said(d["loc"], d["msg"], origins) for d in details}))


def _said(loc: tuple[int | str, ...], message: str, origins: Mapping[str, Origin]) -> str:
    name = str(loc[0]) if loc else ""
    if name not in Settings.model_fields:
        return f"Settings has no field {name!r}"
    remedy = message.removeprefix("Value error, ").replace("Input should be", "it should be")
    return f"{Settings.variable(name)} (from {origins.get(name, 'default')}): {remedy}"


def _shown(name: str, value: object) -> str:
    if isinstance(value, SecretStr):
        hidden = value.get_secret_value()
        if name == "cache" and hidden.strip().lower() == "none":
            return "none"
        return masked_url(hidden) if name in {"url", "cache"} else MASK
    return "" if value is None else str(value)
