"""The benchmarks' tables, as they are shown and kept."""

import pytest

from benchmarks.sheets import Sheet, cell, markdown, screen
from benchmarks.summary import Spread

SHEET = Sheet(
    "A table",
    ("task", "way", "records/s"),
    [("write", "ours", "10"), ("write", "theirs", "5"), ("read", "ours", "")],
    texts=2,
    grouped=1,
    strong=(0, 2),
    notes=("a note",),
)


@pytest.mark.parametrize(
    ("spread", "text"),
    [
        (Spread(1_204.2, 1_100.0, 1_310.0), "1,204 (1,100 to 1,310)"),
        (Spread(12.34, 0.0, 19.96), "12.3 (0.00 to 20.0)"),
        (None, ""),
    ],
)
def test_a_cell_gives_the_median_and_its_spread(spread, text):
    assert cell(spread) == text


def test_a_cell_gives_the_median_alone():
    assert cell(Spread(1_204.2, 1_100.0, 1_310.0), spread=False) == "1,204"


def test_a_markdown_table_has_as_many_cells_in_each_line():
    lines = [line for line in markdown(SHEET).splitlines() if line.startswith("|")]
    assert len(lines) == 5
    assert {line.count("|") for line in lines} == {4}
    assert lines[1] == "| --- | --- | ---: |"


def test_lines_that_are_set_off_are_bold_in_markdown_and_empty_cells_stay_empty():
    text = markdown(SHEET)
    assert "| **write** | **ours** | **10** |" in text
    assert "| **read** | **ours** |  |" in text
    assert "- a note" in text


def test_the_screen_has_all_lines_and_a_rule_between_groups():
    table = screen(SHEET)
    assert [row.style for row in table.rows] == ["bold", None, "bold"]
    assert [row.end_section for row in table.rows] == [False, True, False]
