"""The table of settings in the documentation is the class."""

from pathlib import Path

import pytest

from orchestra_memory import Settings

PAGE = Path(__file__).parents[2] / "docs/howto/configure.md"


def row(name: str) -> str:
    info = Settings.model_fields[name]
    default = f"`{info.default}`" if info.default not in (None, {}) else ""
    return f"| `{Settings.variable(name)}` | {default} | {info.description} |"


def test_the_table_of_settings_is_complete_and_in_order() -> None:
    lines = PAGE.read_text().splitlines()
    start = lines.index("| variable | default | meaning |") + 2
    table = lines[start : lines.index("", start)]
    assert table == [row(name) for name in Settings.model_fields]


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_says_what_it_means(name: str) -> None:
    assert (Settings.model_fields[name].description or "").endswith(".")
