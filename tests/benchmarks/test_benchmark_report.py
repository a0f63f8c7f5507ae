"""The benchmarks' tables and JSON."""

import json

from benchmarks.report import HEADINGS, cell, document, lines, markdown, notes
from benchmarks.summary import Spread
from benchmarks.turns import Cost, Outcome, Turn

COST = Cost(seconds=0.1, client_cpu=0.04, server_cpu=None, memory=0, stall=0.03)
OUTCOME = Outcome(
    turns=[
        Turn("write", "put_many", True, 4_000, 1, 4_000, COST),
        Turn("write", "batches", False, 4_000, 1, 4_000, Cost(0.4, 1.0, None, 0, 0.2)),
        Turn("read", "get_many", True, 1, 1, 200, COST),
        Turn("write", "put_many", True, 1, 1, 200, COST),
    ],
    idle=[Cost(0.25, 0.01, None, 0, 0.001)],
    compared=8_400,
)
ABOUT = {
    "title": "A run",
    "versions": {"python": "3.11.7"},
    "machine": {
        "cpu": "One",
        "cores": 2,
        "memory_gib": 4.0,
        "system": "Linux x86_64",
        "load_before": 0.1,
    },
    "emulator": {"origin": "the jar of gcloud"},
}


def test_a_cell_gives_the_median_and_its_spread():
    assert cell(Spread(1_204.2, 1_100.0, 1_310.0)) == "1,204 (1,100 to 1,310)"
    assert cell(Spread(1_204.2, 1_100.0, 1_310.0), spread=False) == "1,204"
    assert cell(Spread(0.25, 0.0, 19.96)) == "0.2 (0.0 to 20.0)"


def test_a_cell_says_what_is_not_known():
    assert cell(None) == "n/a"


def test_lines_go_by_task_and_rising_size():
    assert [line[:3] for line in lines(OUTCOME)] == [
        ("write", "1", "put_many"),
        ("write", "4,000", "put_many"),
        ("write", "4,000", "batches"),
        ("read", "1", "get_many"),
    ]


def test_only_our_line_has_a_ratio_and_only_where_something_was_compared():
    assert [line[-1] for line in lines(OUTCOME)] == ["", "4.00", "", ""]


def test_the_document_keeps_every_round_and_survives_json():
    kept = json.loads(json.dumps(document(OUTCOME, about=ABOUT)))
    assert len(kept["rounds"]) == 4
    assert kept["rounds"][1]["client_cpu"] == 1.0
    assert kept["verified"] == {"records_compared": 8_400, "differences": 0}
    assert kept["ratios"][0]["spread"]["median"] == 4.0
    assert kept["machine"]["cores"] == 2


def test_the_markdown_table_has_as_many_cells_in_each_line():
    text = markdown(lines(OUTCOME), told=["a note"], about=ABOUT)
    table = [line for line in text.splitlines() if line.startswith("|")]
    assert len(table) == 6
    assert {line.count("|") for line in table} == {len(HEADINGS) + 1}
    assert "- a note" in text


def test_notes_tell_what_was_compared_and_how_an_idle_loop_fared():
    told = notes(OUTCOME, ["left out"])
    assert told[0].startswith("8,400 records")
    assert "1.0 (1.0 to 1.0) ms" in told[1]
    assert told[-1] == "left out"
