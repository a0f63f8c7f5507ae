"""Which parts a memory is made of, decided from settings and arguments without any I/O."""

from __future__ import annotations

from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path

from .errors import ConfigurationError
from .settings import Fallback, Settings, revealed
from .urls import (
    CacheUrl,
    FirestoreUrl,
    SqliteUrl,
    StoreUrl,
    cache_url,
    checked_address,
    parse_cache_url,
    parse_store_url,
)

DATABASE_FILE = "memory.db"
JOURNAL_DIRECTORY = "journal"


@dataclass(frozen=True, slots=True)
class Plan:
    """The parts, complete: a Firestore store names its project and database.

    ``reasons`` says in words why each part is there, or not.
    """

    store: StoreUrl
    cache: CacheUrl | None
    fallback: Fallback
    journal: Path | None
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Arguments:
    """What the caller of ``open_memory()`` says; ``None`` leaves it to the settings."""

    url: str | None = None
    cache: str | None = None
    journal: str | PathLike[str] | None = None
    fallback: bool | None = None


def plan_for(settings: Settings, arguments: Arguments = Arguments()) -> Plan:
    """The parts these settings and arguments ask for.

    Raises ``ConfigurationError`` where they contradict one another, or leave open what staging and
    production must say.
    """
    _refuse_gaps(settings, arguments)
    store, why_store = _store(settings, arguments)
    cache, why_cache = _cache(settings, arguments, store)
    fallback, why_fallback = _fallback(settings, arguments, store)
    return Plan(
        store=store,
        cache=cache,
        fallback=fallback,
        journal=_journal(settings, arguments) if fallback is Fallback.JOURNAL else None,
        reasons=(
            f"store {store}: {why_store}",
            f"cache {cache or 'none'}: {why_cache}",
            f"fallback {fallback}: {why_fallback}",
            *_unused(settings, store, cache),
        ),
    )


def _refuse_gaps(settings: Settings, arguments: Arguments) -> None:
    """Everything that is missing, in one message."""
    if not _is_served(settings):
        if _url(settings, arguments) is None:
            _refuse_guess(settings)
        return
    gaps: list[str] = []
    if settings.firestore_emulator_host is not None:
        gaps.append("unset FIRESTORE_EMULATOR_HOST, the emulator forgets everything")
    if _url(settings, arguments) is None and settings.gcp_project_id is None:
        gaps.append("set GCP_PROJECT_ID, or ORCHESTRA_URL")
    if _wants_cache(settings, arguments) and not _names_cache(settings, arguments):
        gaps.append("set REDIS_HOST or ORCHESTRA_CACHE, or ORCHESTRA_CACHE=none to go without")
    if gaps:
        raise ConfigurationError(
            f"APP_ENV={settings.app_env} is half configured: {'; '.join(gaps)}"
        )


def _refuse_guess(settings: Settings) -> None:
    if settings.app_env is not None:
        return
    marks = ("gcp_project_id", "k_service", "cloud_run_job", "kubernetes_service_host")
    found = [Settings.variable(name) for name in marks if getattr(settings, name) is not None]
    if found:
        raise ConfigurationError(
            f"{' and '.join(found)} is set but APP_ENV is not, and a local file would be the wrong "
            "place for production's data; set APP_ENV=production (or development), or ORCHESTRA_URL"
        )


def _is_served(settings: Settings) -> bool:
    return settings.app_env is not None and settings.app_env.is_served


def _url(settings: Settings, arguments: Arguments) -> str | None:
    if arguments.url is not None:
        return arguments.url
    return revealed(settings.url)


def _store(settings: Settings, arguments: Arguments) -> tuple[StoreUrl, str]:
    text = _url(settings, arguments)
    if text is not None:
        why = "the argument says so" if arguments.url is not None else "ORCHESTRA_URL says so"
        return _completed(parse_store_url(text), settings), why
    if _is_served(settings):
        url = FirestoreUrl(settings.gcp_project_id)
        return _completed(url, settings), f"APP_ENV is {settings.app_env}"
    file = settings.home.expanduser() / DATABASE_FILE
    why = f"APP_ENV is {settings.app_env or 'unset'} and no URL names another"
    return SqliteUrl(str(file), settings.namespace), why


def _completed(url: StoreUrl, settings: Settings) -> StoreUrl:
    """The URL with what it leaves to the settings."""
    url = replace(url, namespace=url.namespace or settings.namespace)
    if not isinstance(url, FirestoreUrl):
        return url
    if url.emulator is not None and _is_served(settings):
        raise ConfigurationError(
            f"APP_ENV={settings.app_env} refuses an emulator, it forgets everything; remove "
            "emulator= from the URL"
        )
    project = url.project or settings.gcp_project_id
    if project is None:
        raise ConfigurationError(
            "the firestore URL names no project; add it, or set GCP_PROJECT_ID"
        )
    return replace(
        url,
        project=project,
        database=url.database or settings.database,
        emulator=url.emulator or _emulator(settings),
    )


def _emulator(settings: Settings) -> str | None:
    host = settings.firestore_emulator_host
    return host and checked_address(host, "FIRESTORE_EMULATOR_HOST")


def _is_firestore(settings: Settings, arguments: Arguments) -> bool:
    text = _url(settings, arguments)
    return _is_served(settings) if text is None else isinstance(parse_store_url(text), FirestoreUrl)


def _wants_cache(settings: Settings, arguments: Arguments) -> bool:
    return _is_served(settings) and _is_firestore(settings, arguments)


def _names_cache(settings: Settings, arguments: Arguments) -> bool:
    return not (arguments.cache is None and settings.cache is None and settings.redis_host is None)


def _cache(
    settings: Settings, arguments: Arguments, store: StoreUrl
) -> tuple[CacheUrl | None, str]:
    if arguments.cache is not None:
        return parse_cache_url(arguments.cache), "the argument says so"
    if settings.cache is not None:
        return parse_cache_url(settings.cache.get_secret_value()), "ORCHESTRA_CACHE says so"
    if not isinstance(store, FirestoreUrl):
        return None, "an embedded store needs none"
    if not _is_served(settings) or settings.redis_host is None:
        return None, "only staging and production have one by themselves"
    url = cache_url(settings.redis_host, settings.redis_port, revealed(settings.redis_password))
    return url, f"APP_ENV is {settings.app_env} and REDIS_HOST is set"


def _fallback(settings: Settings, arguments: Arguments, store: StoreUrl) -> tuple[Fallback, str]:
    if arguments.fallback is False and arguments.journal is not None:
        raise ConfigurationError("fallback=False and a journal contradict each other; drop one")
    if arguments.fallback is False:
        return Fallback.NONE, "the argument says so"
    if arguments.journal is not None:
        return Fallback.JOURNAL, "the argument names a journal"
    if arguments.fallback:
        return _degraded(settings), "the argument says so"
    if settings.fallback is not None:
        return settings.fallback, "ORCHESTRA_FALLBACK says so"
    if not isinstance(store, FirestoreUrl):
        return Fallback.NONE, "an embedded store has no outages"
    if settings.journal_dir is not None:
        return Fallback.JOURNAL, "ORCHESTRA_JOURNAL_DIR is set"
    if _is_served(settings):
        return Fallback.JOURNAL, f"APP_ENV is {settings.app_env}"
    return Fallback.NONE, "only staging and production have one by themselves"


def _degraded(settings: Settings) -> Fallback:
    """What ``fallback=True`` means: a journal where there is a place for one."""
    if settings.fallback is not None and settings.fallback is not Fallback.NONE:
        return settings.fallback
    if settings.journal_dir is not None or _is_served(settings):
        return Fallback.JOURNAL
    return Fallback.MEMORY


def _journal(settings: Settings, arguments: Arguments) -> Path:
    if arguments.journal is not None:
        return Path(arguments.journal).expanduser()
    return journal_directory(settings)


def journal_directory(settings: Settings) -> Path:
    """Where processes with these settings keep their journals, if they keep any."""
    return (settings.journal_dir or settings.home / JOURNAL_DIRECTORY).expanduser()


def _unused(settings: Settings, store: StoreUrl, cache: CacheUrl | None) -> list[str]:
    """Settings that somebody may wonder about."""
    embedded = not isinstance(store, FirestoreUrl)
    notes = {
        "FIRESTORE_EMULATOR_HOST unused: only a firestore: URL goes to an emulator": embedded
        and settings.firestore_emulator_host is not None,
        "ORCHESTRA_COLLECTIONS unused: an embedded store keeps its own names": embedded
        and bool(settings.collections),
        "REDIS_HOST unused: name the cache in ORCHESTRA_CACHE to have one": cache is None
        and settings.cache is None
        and settings.redis_host is not None,
    }
    return [note for note, holds in notes.items() if holds]
