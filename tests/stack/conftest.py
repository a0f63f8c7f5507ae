"""Settings see only what a test gives them."""

import pytest


@pytest.fixture(autouse=True)
def _bare(bare_environment) -> None: ...
