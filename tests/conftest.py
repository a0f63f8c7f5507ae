"""What every test shares."""

import pytest

pytest_plugins = ["pytester"]


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    # For the session: an AsyncClient belongs to the event loop it was first used on.
    return "asyncio"
