"""Which parts a memory is made of."""

from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

import pytest

from orchestra_memory import ConfigurationError, Settings
from orchestra_memory.plan import Arguments, Plan, plan_for
from orchestra_memory.settings import Fallback
from orchestra_memory.urls import FirestoreUrl, LocalUrl, SqliteUrl

EMBEDDED = SqliteUrl(".orchestra/memory.db")
FIRESTORE = FirestoreUrl("p", "(default)")
SERVED = {"app_env": "production", "gcp_project_id": "p"}
JOURNAL = Path(".orchestra/journal")
NONE = "none"


SILENT = Arguments()


def planned(said: dict[str, object], arguments: Arguments = SILENT) -> Plan:
    return plan_for(Settings(**said), arguments)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Case:
    said: dict[str, object]
    store: object
    cache: str | None = None
    fallback: Fallback = Fallback.NONE
    journal: Path | None = None
    arguments: Arguments = field(default_factory=Arguments)


CASES = {
    "nothing said": Case({}, EMBEDDED),
    "development": Case({"app_env": "development"}, EMBEDDED),
    "test": Case({"app_env": "test"}, EMBEDDED),
    "development with a project": Case(
        {"app_env": "development", "gcp_project_id": "p", "k_service": "s"}, EMBEDDED
    ),
    "development with an emulator and a redis around": Case(
        {"app_env": "development", "firestore_emulator_host": "h:1", "redis_host": "r"}, EMBEDDED
    ),
    "another home": Case({"home": "/srv/o"}, SqliteUrl("/srv/o/memory.db")),
    "a namespace": Case({"namespace": "acme"}, SqliteUrl(".orchestra/memory.db", "acme")),
    "a URL by argument": Case({}, LocalUrl(), arguments=Arguments(url="local:")),
    "a URL by setting": Case({"url": "local:"}, LocalUrl()),
    "the argument beats the setting": Case(
        {"url": "sqlite:///a.db"}, LocalUrl(), arguments=Arguments(url="local:")
    ),
    "the URL's namespace beats the setting's": Case(
        {"namespace": "a", "url": "local:?namespace=b"}, LocalUrl("b")
    ),
    "the setting's namespace holds for a URL without": Case(
        {"namespace": "a", "url": "local:"}, LocalUrl("a")
    ),
    "a URL where the cloud's marks are set": Case(
        {"url": "sqlite:///a.db", "gcp_project_id": "p", "k_service": "s"}, SqliteUrl("a.db")
    ),
    "firestore by URL": Case({"url": "firestore://q/d"}, FirestoreUrl("q", "d")),
    "firestore with the settings' project and database": Case(
        {"url": "firestore:", "gcp_project_id": "p", "database": "d"}, FirestoreUrl("p", "d")
    ),
    "firestore on the settings' emulator": Case(
        {"url": "firestore://p", "firestore_emulator_host": "h:1"},
        FirestoreUrl("p", "(default)", emulator="h:1"),
    ),
    "firestore on the URL's emulator": Case(
        {"url": "firestore://p?emulator=g:2", "firestore_emulator_host": "h:1"},
        FirestoreUrl("p", "(default)", emulator="g:2"),
    ),
    "firestore by URL does not take REDIS_HOST by itself": Case(
        {"url": "firestore://p", "redis_host": "r"}, FIRESTORE
    ),
    "a cache by setting": Case(
        {"url": "firestore://p", "cache": "redis://c"}, FIRESTORE, cache="redis://c"
    ),
    "a cache by argument": Case(
        {"url": "firestore://p", "cache": "redis://c"},
        FIRESTORE,
        cache="redis://d",
        arguments=Arguments(cache="redis://d"),
    ),
    "a cache around an embedded store, if that is what is said": Case(
        {"cache": "redis://c"}, EMBEDDED, cache="redis://c"
    ),
    "no cache by argument": Case(
        {"cache": "redis://c"}, EMBEDDED, arguments=Arguments(cache="none")
    ),
    "a journal directory turns the fallback of firestore on": Case(
        {"url": "firestore://p", "journal_dir": "j"},
        FIRESTORE,
        fallback=Fallback.JOURNAL,
        journal=Path("j"),
    ),
    "and that of an embedded store not": Case({"journal_dir": "j"}, EMBEDDED),
    "a journal by argument does it for any store": Case(
        {},
        EMBEDDED,
        fallback=Fallback.JOURNAL,
        journal=Path("j"),
        arguments=Arguments(journal="j"),
    ),
    "a journal by argument beats ORCHESTRA_FALLBACK": Case(
        {"fallback": NONE},
        EMBEDDED,
        fallback=Fallback.JOURNAL,
        journal=Path("j"),
        arguments=Arguments(journal=Path("j"), fallback=True),
    ),
    "ORCHESTRA_FALLBACK=none beats ORCHESTRA_JOURNAL_DIR": Case(
        {"url": "firestore://p", "journal_dir": "j", "fallback": NONE}, FIRESTORE
    ),
    "fallback=True is memory alone": Case(
        {"url": "firestore://p"},
        FIRESTORE,
        fallback=Fallback.MEMORY,
        arguments=Arguments(fallback=True),
    ),
    "fallback=True is a journal where there is a place for one": Case(
        {"url": "firestore://p", "journal_dir": "j"},
        FIRESTORE,
        fallback=Fallback.JOURNAL,
        journal=Path("j"),
        arguments=Arguments(fallback=True),
    ),
    "fallback=True takes the kind from the settings": Case(
        {"url": "firestore://p", "journal_dir": "j", "fallback": "memory"},
        FIRESTORE,
        fallback=Fallback.MEMORY,
        arguments=Arguments(fallback=True),
    ),
    "fallback=False": Case(
        {"url": "firestore://p", "journal_dir": "j"},
        FIRESTORE,
        arguments=Arguments(fallback=False),
    ),
    "a journal by setting": Case(
        {"url": "firestore://p", "fallback": "journal"},
        FIRESTORE,
        fallback=Fallback.JOURNAL,
        journal=JOURNAL,
    ),
    "production": Case(
        {**SERVED, "redis_host": "r"},
        FIRESTORE,
        cache="redis://r:6379/0",
        fallback=Fallback.JOURNAL,
        journal=JOURNAL,
    ),
    "staging": Case(
        {**SERVED, "app_env": "staging", "redis_host": "r", "redis_port": 1, "home": "h"},
        FIRESTORE,
        cache="redis://r:1/0",
        fallback=Fallback.JOURNAL,
        journal=Path("h/journal"),
    ),
    "production with a password": Case(
        {**SERVED, "redis_host": "r", "redis_password": "p@ss", "fallback": NONE},
        FIRESTORE,
        cache="redis://:p%40ss@r:6379/0",
    ),
    "production with a cache URL": Case(
        {**SERVED, "cache": "rediss://c", "redis_host": "r", "fallback": NONE},
        FIRESTORE,
        cache="rediss://c",
    ),
    "production without cache and fallback": Case(
        {**SERVED, "cache": NONE, "fallback": NONE, "redis_host": "r"}, FIRESTORE
    ),
    "production with a firestore URL": Case(
        {"app_env": "production", "url": "firestore://q/d", "cache": NONE, "fallback": NONE},
        FirestoreUrl("q", "d"),
    ),
    "production on a file, if that is what is said": Case(
        {**SERVED, "url": "sqlite:////srv/state.db"}, SqliteUrl("/srv/state.db")
    ),
    "production with the fallback in memory": Case(
        {**SERVED, "cache": NONE, "fallback": "memory"}, FIRESTORE, fallback=Fallback.MEMORY
    ),
    "production in a database and a namespace": Case(
        {**SERVED, "cache": NONE, "fallback": NONE, "database": "d", "namespace": "n"},
        FirestoreUrl("p", "d", "n"),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_settings_and_arguments_make_one_plan(name: str) -> None:
    case = CASES[name]
    plan = planned(case.said, case.arguments)
    assert plan.store == case.store
    assert (plan.cache and plan.cache.url) == case.cache
    assert plan.fallback is case.fallback
    assert plan.journal == case.journal
    assert [reason.split(" ", 1)[0] for reason in plan.reasons[:3]] == [
        "store",
        "cache",
        "fallback",
    ]


REFUSED = {
    "a project without APP_ENV": ({"gcp_project_id": "p"}, "GCP_PROJECT_ID is set but APP_ENV"),
    "Cloud Run without APP_ENV": ({"k_service": "s"}, "K_SERVICE is set but APP_ENV"),
    "a Cloud Run job without APP_ENV": ({"cloud_run_job": "j"}, "CLOUD_RUN_JOB is set"),
    "Kubernetes without APP_ENV": (
        {"kubernetes_service_host": "h", "k_service": "s"},
        "K_SERVICE and KUBERNETES_SERVICE_HOST",
    ),
    "production without anything": (
        {"app_env": "production"},
        "APP_ENV=production is half configured: set GCP_PROJECT_ID, or ORCHESTRA_URL; set "
        "REDIS_HOST or ORCHESTRA_CACHE, or ORCHESTRA_CACHE=none",
    ),
    "staging without a cache": ({**SERVED, "app_env": "staging"}, "APP_ENV=staging is half"),
    "production with an emulator": (
        {**SERVED, "redis_host": "r", "firestore_emulator_host": "h:1"},
        "unset FIRESTORE_EMULATOR_HOST",
    ),
    "production on a file with an emulator": (
        {**SERVED, "url": "sqlite:///a.db", "firestore_emulator_host": "h:1"},
        "unset FIRESTORE_EMULATOR_HOST",
    ),
    "production with the URL's emulator": (
        {**SERVED, "cache": NONE, "url": "firestore://p?emulator=h:1"},
        "remove emulator=",
    ),
    "firestore without a project": ({"url": "firestore:"}, "names no project"),
    "a broken emulator": (
        {"url": "firestore://p", "firestore_emulator_host": "http://h"},
        "FIRESTORE_EMULATOR_HOST must be host:port",
    ),
    "an unknown store": ({"url": "ftp://h"}, "no store has the scheme 'ftp'"),
    "an unknown cache": ({"cache": "ftp://h"}, "no cache has the scheme 'ftp'"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_makes_no_whole_memory_is_refused(name: str) -> None:
    said, why = REFUSED[name]
    with pytest.raises(ConfigurationError) as refused:
        planned(said)
    assert why in str(refused.value)


def test_a_journal_without_a_fallback_is_a_contradiction() -> None:
    with pytest.raises(ConfigurationError, match="contradict"):
        planned({}, Arguments(journal="j", fallback=False))


@pytest.mark.parametrize(
    ("said", "note"),
    [
        ({"firestore_emulator_host": "h:1"}, "FIRESTORE_EMULATOR_HOST unused"),
        ({"collections": "x_"}, "ORCHESTRA_COLLECTIONS unused"),
        ({"redis_host": "r"}, "REDIS_HOST unused"),
    ],
)
def test_a_setting_that_changes_nothing_is_mentioned(said: dict[str, object], note: str) -> None:
    assert any(reason.startswith(note) for reason in planned(said).reasons)
    assert len(planned({}).reasons) == 3


DIMENSIONS: dict[str, list[object]] = {
    "app_env": [None, "development", "test", "staging", "production"],
    "url": [None, "local:", "sqlite:///a.db", "firestore://p/d", "firestore:"],
    "gcp_project_id": [None, "p"],
    "redis_host": [None, "r"],
    "cache": [None, "none", "redis://:hunter2@c"],
    "fallback": [None, "none", "memory", "journal"],
    "journal_dir": [None, "j"],
    "firestore_emulator_host": [None, "h:1"],
}


def test_every_combination_is_a_whole_plan_or_a_configuration_error() -> None:
    typed = {
        name: {value: getattr(Settings(**{name: value}), name) for value in values}  # type: ignore[arg-type]
        for name, values in DIMENSIONS.items()
    }
    base = Settings(redis_password="hunter2")
    refusals: set[str] = set()
    for said in product(*(values.values() for values in typed.values())):
        settings = base.model_copy(update=dict(zip(typed, said, strict=True)))
        try:
            plan = plan_for(settings)
        except ConfigurationError as error:
            refusals.add(str(error))
        else:
            _holds(settings, plan)
    assert refusals
    assert "hunter2" not in "".join(refusals)


def _holds(settings: Settings, plan: Plan) -> None:
    served = settings.app_env is not None and settings.app_env.is_served
    assert "hunter2" not in repr(plan)
    assert (plan.journal is not None) == (plan.fallback is Fallback.JOURNAL)
    if isinstance(plan.store, FirestoreUrl):
        assert plan.store.project
        assert plan.store.database
        assert not (served and plan.store.emulator)
        if served:
            assert plan.cache is not None or settings.cache is not None
            assert plan.fallback is not Fallback.NONE or settings.fallback is Fallback.NONE
    else:
        assert not (served and settings.url is None)
        assert not (settings.app_env is None and settings.url is None and settings.gcp_project_id)
