"""The reference is complete: what can be imported is described, and nothing else is."""

import ast
import re
from pathlib import Path

import pytest

import orchestra_memory

ROOT = Path(__file__).parents[2]
DESCRIBED = re.compile(r"^\.\. [\w:]+:: orchestra_memory\.(\w+)$", re.MULTILINE)


def public_names() -> set[str]:
    source = Path(orchestra_memory.__file__).read_text()
    imports = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ImportFrom)]
    return {name.name for node in imports for name in node.names if name.asname == name.name}


def described_names() -> list[str]:
    pages = sorted((ROOT / "docs" / "reference").glob("*.md"))
    return [name for page in pages for name in DESCRIBED.findall(page.read_text())]


def test_every_public_name_is_described_once():
    assert sorted(described_names()) == sorted(public_names())


@pytest.mark.parametrize("name", sorted(public_names()))
def test_every_public_name_can_be_imported_and_is_listed(name):
    assert getattr(orchestra_memory, name) is not None
    assert name in dir(orchestra_memory)


@pytest.mark.parametrize("page", sorted((ROOT / "docs").glob("*/*.md")), ids=lambda page: page.name)
def test_every_page_can_be_reached(page):
    index = (ROOT / "docs" / "index.md").read_text()
    name = page.relative_to(ROOT / "docs").with_suffix("").as_posix()
    assert name in index or f"{page.parent.name}/*" in index


@pytest.mark.parametrize(
    "link", re.findall(r"\]\((?!http)([^)#]+)", (ROOT / "README.md").read_text())
)
def test_links_of_the_readme_lead_somewhere(link):
    assert (ROOT / link).is_file()
