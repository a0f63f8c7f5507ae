"""What each verb answers, and with which exit code."""

import json

import pytest

from orchestra_memory import __version__

CHAT = {
    "id": "c1",
    "user_id": "ann",
    "messages": [
        {"role": "user", "content": "hello [bold]there[/]"},
        {"role": "assistant", "content": "hi\n\x1b[31mred"},
    ],
}


@pytest.fixture
def chat(tmp_path):
    path = tmp_path / "chat.json"
    path.write_text(json.dumps(CHAT))
    return path


def lines(text):
    return [json.loads(line) for line in text.splitlines()]


def test_version(cli):
    assert cli("--version").stdout == f"orchestra-memory {__version__}\n"


def test_history_shows_what_was_imported_newest_first(cli, chat):
    done = cli("import", chat)
    assert (done.exit_code, done.stdout) == (0, "imported 2 records (chat), 0 problems\n")
    shown = cli("history", "ann")
    assert shown.exit_code == 0
    assert [line.split("  ")[2] for line in shown.stdout.splitlines()] == [
        "assistant: hi [31mred",
        "user: hello [bold]there[/]",
    ]
    assert "\x1b" not in shown.stdout


def test_history_as_json_is_a_record_a_line(cli, chat):
    cli("import", chat)
    shown = cli("history", "ann", "--json", "--limit", "1")
    (item,) = lines(shown.stdout)
    assert item["text_content"] == "hi\n\x1b[31mred"
    assert item["timestamp"] == "2000-01-01T00:00:00.000001Z"
    cursor = shown.stderr.split("--after ")[1].strip()
    (item,) = lines(cli("history", "ann", "--json", "--after", cursor).stdout)
    assert item["text_content"] == "hello [bold]there[/]"


def test_history_takes_times_and_sessions(cli, chat):
    cli("import", chat, "--start", "2024-05-01T12:00")
    assert lines(cli("history", "ann", "--json", "--since", "2024-05-01").stdout)
    assert not lines(cli("history", "ann", "--json", "--until", "2024-05-01T12:00Z").stdout)
    assert not lines(cli("history", "ann", "--json", "--session", "other").stdout)
    assert cli("history", "ann", "--since", "yesterday").exit_code == 2


def test_search_goes_by_vector_or_persona(cli, tmp_path):
    cli("demo", "--json")
    shown = cli("search", "maya", "--vector", "[0,0,1,0]", "--namespace", "demo", "--json")
    distances = [item["distance"] for item in lines(shown.stdout)]
    assert len(distances) == 9
    assert distances == sorted(distances)
    (tmp_path / "v.json").write_text("[1,0,0,0]")
    nearest = cli(
        "search", "maya", "--vector", "v.json", "--limit", 1, "--namespace", "demo", "--json"
    )
    assert lines(nearest.stdout)[0]["persona_active"] == "scheduler"
    found = cli("search", "maya", "--persona", "caterer", "--namespace", "demo", "--json")
    assert {item["persona_active"] for item in lines(found.stdout)} == {"caterer"}


@pytest.mark.parametrize("vector", ["[1,", "missing.json", "[]", '["a"]', "{}"])
def test_a_vector_that_is_none_is_refused(cli, vector):
    done = cli("search", "ann", "--vector", vector)
    assert done.exit_code in {1, 2}
    assert "error" in done.stderr.lower()
    assert "Traceback" not in done.stderr


def test_count_is_by_collection(cli, chat):
    cli("import", chat)
    assert json.loads(cli("count", "--json").stdout)["memory_items"] == 2
    assert json.loads(cli("count", "--json", "--user", "bob").stdout) == {
        "memory_items": 0,
        "user_sessions": 0,
    }
    assert cli("count").stdout.startswith("memory_items    2\n")


def test_the_shared_options_may_stand_before_the_verb_too(cli, chat):
    cli("--namespace", "acme", "--url", "sqlite:///other.db", "import", chat)
    shown = cli("--json", "count", "--namespace", "acme", "--url", "sqlite:///other.db")
    assert json.loads(shown.stdout)["memory_items"] == 2
    assert json.loads(cli("--json", "count").stdout)["memory_items"] == 0


def test_the_environment_names_the_store(cli, chat, monkeypatch):
    monkeypatch.setenv("ORCHESTRA_URL", "sqlite:///named.db")
    cli("import", chat)
    assert json.loads(cli("count", "--json").stdout)["memory_items"] == 2
    assert json.loads(cli("count", "--json", "--url", "sqlite:///x.db").stdout)["memory_items"] == 0


def test_a_namespace_keeps_others_out(cli, chat):
    cli("import", chat, "--namespace", "acme")
    assert cli("history", "ann", "--json").stdout == ""
    assert len(lines(cli("history", "ann", "--json", "--namespace", "acme").stdout)) == 2
    done = cli("count", "--namespace", "a", "--url", "sqlite:///x.db?namespace=b")
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith("error: the URL names another namespace")


def test_health_says_ok(cli):
    assert json.loads(cli("health", "--json").stdout)["status"] == "ok"
    assert cli("health").stdout.startswith("sqlite: ok")


def test_config_shows_origins_and_no_secrets(cli, monkeypatch):
    monkeypatch.setenv("REDIS_PASSWORD", "hunter2")
    monkeypatch.setenv("ORCHESTRA_URL", "sqlite:///named.db")
    for shown in (cli("config", "show", "--json"), cli("config", "show")):
        assert shown.exit_code == 0
        assert "hunter2" not in shown.output
    shown = json.loads(cli("config", "show", "--json").stdout)
    assert shown["ORCHESTRA_URL"] == {"value": "sqlite:///named.db", "origin": "environment"}
    assert shown["CACHE_TTL"]["origin"] == "default"


@pytest.mark.parametrize(
    ("form", "mark"), [("firebase", '"indexes"'), ("gcloud", "gcloud "), ("terraform", "resource ")]
)
def test_indexes_are_printed_for_each_tool(cli, form, mark):
    shown = cli("indexes", "--format", form, "--dimensions", 4)
    assert shown.exit_code == 0
    assert mark in shown.stdout


def test_indexes_for_firebase_are_a_file(cli):
    assert {"indexes", "fieldOverrides"} <= json.loads(cli("indexes").stdout).keys()


def test_export_and_import_are_exact(cli, chat, tmp_path):
    cli("import", chat)
    assert cli("export", "a.jsonl.gz").stdout == "exported 2 records to a.jsonl.gz\n"
    cli("import", "a.jsonl.gz", "--url", "sqlite:///second.db")
    cli("export", "b.jsonl.gz", "--url", "sqlite:///second.db")
    assert (tmp_path / "a.jsonl.gz").read_bytes() == (tmp_path / "b.jsonl.gz").read_bytes()


def test_export_goes_to_standard_output_and_nothing_else_does(cli, chat):
    cli("import", chat)
    done = cli("export", "-", "--collection", "memory_items")
    assert [line.get("type") for line in lines(done.stdout)] == [None, "MemoryItem", "MemoryItem"]
    assert done.stderr == "exported 2 records\n"


def test_export_of_one_user(cli, chat):
    cli("import", chat)
    assert cli("export", "a.jsonl", "--user", "bob").stdout == "exported 0 records to a.jsonl\n"
    assert cli("export", "a.jsonl", "--collection", "nothing").exit_code == 2
    assert cli("export", "a.jsonl", "--collection", "system_state", "--user", "ann").exit_code == 1


def test_dry_runs_write_nothing(cli, chat, tmp_path):
    assert cli("import", chat, "--dry-run").stdout == "would import 2 records (chat), 0 problems\n"
    assert not (tmp_path / ".orchestra").exists()
    cli("import", chat)
    assert cli("export", "a.jsonl", "--dry-run").stdout == "would export 2 records\n"
    assert not (tmp_path / "a.jsonl").exists()


def test_problems_have_their_own_exit_code(cli, tmp_path):
    (tmp_path / "c.jsonl").write_text(f"{json.dumps(CHAT)}\nbroken\n")
    done = cli("import", "c.jsonl", "--json")
    assert done.exit_code == 3
    assert done.stderr == "line 2: not JSON at column 1\n"
    report = json.loads(done.stdout)
    assert (report["records"], report["problems"]) == (2, 1)
    assert report["first_problems"] == [{"line": 2, "problem": "line 2: not JSON at column 1"}]


def test_only_so_many_problems_are_spelled_out(cli, tmp_path):
    (tmp_path / "c.jsonl").write_text(f"{json.dumps(CHAT)}\n" + "broken\n" * 50)
    done = cli("import", "c.jsonl")
    assert len(done.stderr.splitlines()) == 21
    assert done.stderr.splitlines()[-1] == "and 30 more problems"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["import", "missing.json"], 1),
        (["import", "."], 1),
        (["history", "ann", "--after", "nonsense"], 1),
        (["count", "--url", "what:"], 1),
        (["export", "/dev/null/a.jsonl"], 1),
        (["import", "-", "--resume"], 2),
        (["export", "-", "--resume"], 2),
        (["export", "a.jsonl", "--resume"], 1),
        (["history"], 2),
        (["search", "ann"], 2),
        (["nonsense"], 2),
        (["count", "--url", "firestore://p/d?emulator=127.0.0.1:1"], 4),
    ],
)
def test_failures_are_one_line_with_their_code(cli, arguments, code):
    done = cli(*arguments)
    assert done.exit_code == code, done.output
    assert done.stdout == ""
    assert "Traceback" not in done.output
    if code != 2:
        assert done.stderr.startswith("error: ")
        assert len(done.stderr.splitlines()) == 1


def test_doctor_is_content_with_a_fresh_folder(cli):
    done = cli("doctor", "--json")
    report = json.loads(done.stdout)
    assert done.exit_code == 0
    assert report["verdict"] in {"ok", "warn"}
    grades = {found["what"]: found["grade"] for found in report["findings"]}
    assert grades["probe"] == grades["sqlite"] == grades["indexes"] == "ok"
    assert set(json.loads(cli("count", "--json").stdout).values()) == {0}


def test_doctor_names_the_credential_that_wins_and_what_is_wrong(cli, monkeypatch):
    monkeypatch.setenv("GCP_SA_KEY_JSON", '{"private_key": "hunter2"}')
    monkeypatch.setenv("GCP_SA_KEY_PATH", "key.json")
    done = cli("doctor", "--url", "firestore://project/(default)")
    assert done.exit_code == 1
    assert "GCP_SA_KEY_JSON wins over GCP_SA_KEY_PATH" in done.stdout
    assert "fail  credentials: GCP_SA_KEY_JSON is no service-account key" in done.stdout
    assert "hunter2" not in done.output


def test_doctor_says_what_half_a_production_lacks(cli, monkeypatch):
    monkeypatch.setenv("APP_ENV", "production")
    done = cli("doctor")
    assert done.exit_code == 1
    assert "fail  settings: " in done.stdout
    assert "GCP_PROJECT_ID" in done.stdout


def test_doctor_finds_a_store_that_does_not_answer(cli):
    done = cli("doctor", "--url", "firestore://p/d?emulator=127.0.0.1:1")
    assert done.exit_code == 1
    assert "fail  " in done.stdout


def test_doctor_finds_a_dead_emulator(cli, monkeypatch):
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", "127.0.0.1:1")
    done = cli("doctor")
    assert "fail  emulator: 127.0.0.1:1 does not answer" in done.stdout
