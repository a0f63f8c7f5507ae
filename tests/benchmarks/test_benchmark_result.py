"""What is kept of a part."""

import json

from benchmarks.result import Result, as_json, save
from benchmarks.sheets import Sheet

DOCUMENT = {"rounds": [{"a": 1, "b": "é"}, {"a": 2}], "none": [], "facts": {"x": [1, 2]}, "n": None}
ABOUT = {
    "when": "2026-11-21T09:37:33+00:00",
    "versions": {"python": "3.11.7"},
    "machine": {
        "cpu": "One",
        "cores": 2,
        "memory_gib": 4.0,
        "system": "Linux x86_64",
        "load_before": 0.1,
    },
}


def test_json_has_a_line_for_each_item_of_a_list():
    text = as_json(DOCUMENT)
    assert json.loads(text) == DOCUMENT
    assert ' {"a": 1, "b": "é"},\n {"a": 2}\n' in text


def test_a_result_is_kept_as_json_markdown_and_picture(tmp_path):
    drawn = []
    result = Result(
        "A part",
        DOCUMENT,
        [Sheet("A table", ("a", "b"), [("x", "1")], notes=["a note"])],
        draw=lambda path, caption: drawn.append((path.name, caption)),
    )
    save(result, tmp_path / "folder" / "part", about=ABOUT)
    assert json.loads((tmp_path / "folder/part.json").read_text()) == {
        "title": "A part",
        **ABOUT,
        **DOCUMENT,
    }
    text = (tmp_path / "folder/part.md").read_text()
    assert text.startswith("# A part\n\n2026-11-21. One, 2 cores")
    assert "| x | 1 |" in text
    assert text.endswith("- a note\n")
    assert drawn[0][0] == "part.png"
    assert "2 cores (One)" in drawn[0][1]


def test_a_result_without_a_picture_has_none(tmp_path):
    save(Result("A part", {}, []), tmp_path / "part", about=ABOUT)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["part.json", "part.md"]
