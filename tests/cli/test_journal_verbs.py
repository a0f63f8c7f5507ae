"""The verbs about journals: what dead processes left is seen, saved, replayed or given up."""

import json

import pytest

import orchestra_memory as om
from orchestra_memory.codec.operations import decode_operation, models_by_name
from orchestra_memory.testing.probe import free_port

from .cached_store import in_memory
from .journals_left import (
    DIRECTORY,
    SECRET,
    keys_left,
    left_behind,
    left_unknown,
    living,
    put,
    texts,
)

MODELS = models_by_name([om.MemoryItem])


def said(done, code=0):
    assert done.exit_code == code, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_status_where_there_is_none(cli):
    done = cli("journal", "status")
    assert (done.exit_code, done.stdout) == (0, ".orchestra/journal: no journals\n")
    (facts,) = said(cli("journal", "status", "--json"))
    assert (facts["journals"], facts["medium"], facts["entries"]) == ([], None, 0)
    assert not DIRECTORY.exists()


def test_status_tells_whose_journals_there_are_and_what_waits(cli):
    left_behind(put("a"), put("b"))
    (facts,) = said(cli("journal", "status", "--json"))
    (file,) = facts["journals"]
    assert (file["living"], file["entries"], file["dead_letters"]) == (False, 2, 0)
    assert file["store"].startswith("sqlite/")
    assert facts["directory"] == str(DIRECTORY)
    assert facts["medium"] in {"persistent", "ephemeral"}
    done = cli("journal", "status")
    assert "left behind by process" in done.stdout
    assert "2 entries wait" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80 + len(file["store"])
    assert "journal replay" in done.stderr
    with living():
        assert "in use by process" in cli("journal", "status").stdout


def test_status_has_an_exit_code_for_what_somebody_has_to_look_at(cli):
    left_behind(put("a"), refused=["a"])
    done = cli("journal", "status")
    assert done.exit_code == 3
    assert "1 dead letter" in done.stdout


def test_status_tells_what_it_cannot_read(cli):
    DIRECTORY.mkdir(parents=True)
    (DIRECTORY / "journal-x.db").write_text("no database at all" * 100)
    (DIRECTORY / "journal-y.damaged").touch()
    done = cli("journal", "status")
    assert done.exit_code == 3
    assert "header cannot be read" in done.stdout
    assert "journal-y.damaged" in done.stderr


def test_list_says_what_waits_but_not_what_it_holds(cli):
    items = left_behind(put("a"), put("b", namespace="acme"), commit="one")
    left_behind(om.Delete(om.Ref(om.MemoryItem, "a")))
    done = cli("journal", "list")
    lines = done.stdout.splitlines()
    assert [line.split()[2:4] for line in lines] == [
        ["put", "memory_items/a"],
        ["put", "acme/memory_items/b"],
        ["delete", "memory_items/a"],
    ]
    assert items[0].id in lines[0]
    facts = said(cli("journal", "list", "--json"))
    assert [(each["key"], each["commit"], each["reason"]) for each in facts] == [
        ("a", "one", None),
        ("b", "one", None),
        ("a", None, None),
    ]
    assert {each["model"] for each in facts} == {"MemoryItem"}
    assert all(0 <= each["age_seconds"] < 60 for each in facts)
    for text in (done.stdout, cli("journal", "list", "--json").stdout):
        assert SECRET not in text


def test_list_shows_the_content_if_it_is_asked_to(cli):
    left_behind(put("a"))
    assert SECRET in cli("journal", "list", "--show").stdout
    (facts,) = said(cli("journal", "list", "--show", "--json"))
    assert facts["content"]["document"]["text_content"] == SECRET


def test_list_can_be_narrowed(cli):
    items = left_behind(put("a"), put("b"), put("c"), refused=["b"])
    (letter,) = said(cli("journal", "list", "--dead-letters", "--json"))
    assert (letter["key"], letter["reason"]) == ("b", "nobody took it")
    assert "dead letter: nobody took it" in cli("journal", "list").stdout
    (one,) = said(cli("journal", "list", "--id", items[2].id, "--json"))
    assert one["key"] == "c"
    assert cli("journal", "list", "--id", "nonsense").exit_code == 2


def test_list_reads_another_directory_if_it_is_named(cli, tmp_path, monkeypatch):
    left_behind(put("a"), directory=tmp_path / "there")
    assert "nothing waits" in cli("journal", "list").stderr
    assert len(said(cli("journal", "list", "--json", "--dir", tmp_path / "there"))) == 1
    monkeypatch.setenv("ORCHESTRA_JOURNAL_DIR", str(tmp_path / "there"))
    assert len(said(cli("journal", "list", "--json"))) == 1


def test_list_reads_a_journal_in_use_and_leaves_it_alone(cli):
    left_behind(put("a"))
    with living():
        (facts,) = said(cli("journal", "list", "--json"))
        assert facts["living"]
    assert keys_left() == ["a"]


def test_export_writes_operations_that_can_be_read_again(cli, tmp_path):
    left_behind(put("a"), put("b"), refused=["b"])
    file = tmp_path / "saved.jsonl"
    assert said(cli("journal", "export", file, "--json")) == [{"entries": 2, "file": str(file)}]
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    ops = [decode_operation(json.dumps(each["operation"]).encode(), MODELS) for each in lines]
    assert [op.record.text_content for op in ops] == [SECRET, SECRET]
    assert [each["reason"] for each in lines] == [None, "nobody took it"]
    assert file.stat().st_mode & 0o777 == 0o600
    assert [*tmp_path.glob("*.part")] == []
    assert keys_left() == ["a", "b"]


def test_export_replaces_nothing_that_was_saved_before(cli, tmp_path):
    left_behind(put("a"))
    file = tmp_path / "saved.jsonl"
    assert cli("journal", "export", file).exit_code == 0
    saved = file.read_bytes()
    cli("journal", "discard", "--yes")
    done = cli("journal", "export", file)
    assert done.exit_code == 2
    assert "name another file" in done.stderr
    assert file.read_bytes() == saved


def test_export_goes_to_standard_output_too(command):
    left_behind(put("a"))
    done = command("journal", "export", "-")
    (line,) = done.stdout.splitlines()
    assert json.loads(line)["key"] == "a"
    assert b"exported 1 entry" in done.stderr


def test_discard_says_what_it_would_do_and_does_nothing(cli):
    left_behind(put("a"), put("b"))
    done = cli("journal", "discard")
    assert done.exit_code == 2
    assert len(done.stdout.splitlines()) == 2
    assert "2 entries would be lost for good" in done.stderr
    assert "--yes" in done.stderr
    assert keys_left() == ["a", "b"]


def test_discard_gives_up_what_dead_processes_left(cli):
    left_behind(put("a"), put("b"), refused=["b"])
    left_behind(put("c"), store="firestore://other")
    assert said(cli("journal", "discard", "--yes", "--json")) == [{"discarded": 3}]
    assert [*DIRECTORY.iterdir()] == []
    assert said(cli("journal", "discard", "--yes", "--json")) == [{"discarded": 0}]


def test_discard_never_touches_a_journal_in_use(cli):
    left_behind(put("a"))
    with living():
        for options in ([], ["--yes"]):
            done = cli("journal", "discard", *options)
            assert done.exit_code == 3
            assert "living processes have their journals open" in done.stderr
    assert keys_left() == ["a"]


def test_discard_of_one_entry_leaves_the_others_as_they_were(cli):
    items = left_behind(put("a"), put("b"), put("c"))
    assert cli("journal", "discard", "--yes", "--id", items[1].id).exit_code == 0
    facts = said(cli("journal", "list", "--json"))
    assert [each["id"] for each in facts] == [items[0].id, items[2].id]
    assert cli("journal", "discard", "--yes", "--id", items[1].id).exit_code == 2


def test_what_is_committed_together_is_discarded_together(cli):
    items = left_behind(put("a"), put("b"), commit="one")
    left_behind(put("c"))
    done = cli("journal", "discard", "--yes", "--id", items[0].id)
    assert done.stdout == "discarded 2 entries\n"
    assert keys_left() == ["c"]


def test_discard_of_dead_letters_leaves_what_waits(cli):
    left_behind(put("a"), put("b"), commit="one", refused=["b"])
    assert said(cli("journal", "discard", "--dead-letters", "--yes", "--json")) == [
        {"discarded": 1}
    ]
    assert keys_left() == ["a"]


def test_discard_leaves_what_it_cannot_read(cli):
    DIRECTORY.mkdir(parents=True)
    (DIRECTORY / "journal-x.db").write_text("no database at all" * 100)
    left_behind(put("a"))
    done = cli("journal", "discard", "--yes")
    assert (done.exit_code, done.stdout) == (3, "discarded 1 entry\n")
    assert "header cannot be read" in done.stderr
    assert (DIRECTORY / "journal-x.db").exists()


def test_replay_brings_what_dead_processes_left_to_the_store(cli):
    left_behind(put("a", "1"), put("b", "2"), put("c", "3", namespace="acme"))
    left_behind(put("a", "4"))
    (done,) = said(cli("journal", "replay", "--json"))
    assert (done["taken_over"], done["replayed"], done["left"]) == (4, 4, 0)
    assert texts("a", "b", "c") == ["4", "2", None]
    assert texts("c", namespace="acme") == ["3"]
    assert [*DIRECTORY.iterdir()] == []
    assert "replayed 0 of 0" in cli("journal", "replay").stdout


def test_replay_writes_to_the_namespaces_that_were_meant(cli, monkeypatch):
    left_behind(put("a", "1"))
    monkeypatch.setenv("ORCHESTRA_NAMESPACE", "other")
    assert cli("journal", "replay").exit_code == 0
    monkeypatch.delenv("ORCHESTRA_NAMESPACE")
    assert texts("a") == ["1"]
    assert cli("journal", "replay", "--namespace", "other").exit_code == 2


def test_replay_leaves_journals_in_use_alone(cli):
    left_behind(put("a"))
    with living():
        done = cli("journal", "replay", "--json")
        assert said(done)[0]["taken_over"] == 0
        assert "1 entry is left to the living processes" in done.stderr
    assert keys_left() == ["a"]
    assert texts("a") == [None]


def test_replay_leaves_what_is_for_another_store(cli):
    left_behind(put("a"), store="project/(default)")
    done = cli("journal", "replay")
    assert done.exit_code == 3
    assert "its entries are for project/(default)" in done.stderr
    assert keys_left() == ["a"]


def test_replay_tries_dead_letters_again_only_if_asked_to(cli):
    left_behind(put("a", "1"), refused=["a"])
    cli("journal", "replay")
    assert texts("a") == [None]
    (done,) = said(cli("journal", "replay", "--dead-letters", "--json"))
    assert done["replayed"] == 1
    assert texts("a") == ["1"]


def test_replay_loses_nothing_where_the_store_does_not_answer(cli, monkeypatch):
    url = f"firestore://demo/(default)?emulator=127.0.0.1:{free_port()}"
    left_behind(put("a"), store=f"demo/(default)/{url.rpartition('=')[2]}")
    monkeypatch.setenv("ORCHESTRA_TIMEOUT", "0.3")
    done = cli("journal", "replay", "--url", url)
    assert done.exit_code == 4
    assert "nothing is lost" in done.stderr
    assert keys_left() == ["a"]


def test_replay_of_a_record_type_needs_the_module_that_declares_it(cli, tmp_path):
    source = (
        "import orchestra_memory as om\nclass Mine(om.Record, collection='mine'):\n    id: str\n"
    )
    (tmp_path / "types_of_mine.py").write_text(source)
    left_unknown("a", collection="mine", model="Mine")
    done = cli("journal", "replay", "--json")
    assert said(done, 3)[0]["left"] == 0
    assert "1 entry: mine: an operation on the record type 'Mine'" in done.stderr
    assert keys_left() == ["a"]
    assert cli("journal", "replay", "--import", "no_such_module").exit_code == 1
    (done,) = said(cli("journal", "replay", "--import", "types_of_mine", "--json"))
    assert (done["replayed"], done["unknown"]) == (1, {})
    assert keys_left() == []


def test_replay_tells_the_cache_what_it_writes(cli, cache):
    left_behind(put("a", "2"))
    in_memory(lambda memory: memory.write([put("a", "1")]))
    assert texts("a") == ["1"]
    assert cli("journal", "replay").exit_code == 3
    assert texts("a") == ["2"]


def test_replay_is_refused_where_a_cache_could_not_be_told(cli, monkeypatch):
    left_behind(put("a"), store="demo/(default)")
    monkeypatch.setenv("APP_ENV", "staging")
    monkeypatch.setenv("ORCHESTRA_CACHE", "none")
    monkeypatch.setenv("GCP_PROJECT_ID", "demo")
    done = cli("journal", "replay")
    assert done.exit_code == 1
    assert "--no-cache" in done.stderr
    assert keys_left() == ["a"]


@pytest.mark.parametrize("verb", [["status"], ["list"], ["export", "-"], ["discard", "--yes"]])
def test_looking_after_journals_does_not_open_the_store(cli, monkeypatch, verb):
    monkeypatch.setenv("ORCHESTRA_URL", "firestore://demo?emulator=127.0.0.1:1")
    assert cli("journal", *verb).exit_code == 0
