"""What every test shares."""

import gc
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    # For the session: an AsyncClient belongs to the event loop it was first used on.
    return "asyncio"


@pytest.fixture(scope="module", autouse=True)
def collected_before() -> None:
    """Spare the garbage collector what thousands of collected tests hold, again and again."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """No variable set, an empty working directory, and no way to a machine's own credentials."""
    from orchestra_memory import Settings

    for name in Settings.model_fields:
        monkeypatch.delenv(Settings.variable(name), raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path / "gcloud"))
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    monkeypatch.chdir(tmp_path)
    return tmp_path
