"""Nothing is destroyed unless it was asked for, and in production by name."""

import pytest
import typer

from orchestra_memory.cli.consent import consent
from orchestra_memory.cli.verb import Target

FIRESTORE = "firestore://bakery/main"


def asked(url, *, yes=False, confirm=None, namespace=None):
    """The exit code the command ends with, 0 if it goes on."""
    try:
        consent(Target(url, namespace), "erase 3 records", yes=yes, confirm=confirm)
    except typer.Exit as end:
        return end.exit_code
    except typer.BadParameter as error:
        return str(error)
    return 0


@pytest.fixture
def env(monkeypatch):
    def set_env(name):
        monkeypatch.setenv("APP_ENV", name)
        monkeypatch.setenv("ORCHESTRA_CACHE", "none")
        monkeypatch.setenv("ORCHESTRA_JOURNAL_DIR", "journals")

    return set_env


def test_without_yes_it_says_what_would_be_done_and_how(capsys):
    assert asked("sqlite:///state.db") == 2
    told = capsys.readouterr().err
    assert "would erase 3 records, in sqlite:///state.db" in told
    assert "--yes" in told
    assert "--confirm" not in told


def test_with_yes_it_goes_on():
    assert asked("sqlite:///state.db", yes=True) == 0


@pytest.mark.parametrize("app_env", ["staging", "development"])
def test_elsewhere_than_in_production_no_name_is_asked_for(env, app_env):
    env(app_env)
    assert asked(FIRESTORE, yes=True) == 0


@pytest.mark.parametrize(
    ("url", "namespace", "name"),
    [
        (FIRESTORE, None, "bakery"),
        (FIRESTORE, "acme", "acme"),
        (f"{FIRESTORE}?namespace=acme", None, "acme"),
        ("sqlite:///var/state.db", None, "state.db"),
    ],
)
def test_in_production_the_name_is_asked_for(env, url, namespace, name, capsys):
    env("production")
    assert asked(url, namespace=namespace) == 2
    assert f"--yes --confirm {name}" in capsys.readouterr().err
    assert f"--confirm {name}" in asked(url, namespace=namespace, yes=True)
    assert "depend on" in asked(url, namespace=namespace, yes=True, confirm=f"{name}2")
    assert asked(url, namespace=namespace, confirm=name) == 2
    assert asked(url, namespace=namespace, yes=True, confirm=name) == 0


def test_a_database_at_google_counts_as_production_unless_something_else_is_said(monkeypatch):
    assert "bakery" in asked(FIRESTORE, yes=True)
    assert asked(f"{FIRESTORE}?emulator=localhost:8080", yes=True) == 0
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", "localhost:8080")
    assert asked(FIRESTORE, yes=True) == 0
