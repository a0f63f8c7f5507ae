"""The table of log events is the source's, line by line: who filters by it must not be misled."""

import ast
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "orchestra_memory"
PAGE = ROOT / "docs" / "reference" / "logs.md"
METHODS = {name: name.upper() for name in ("debug", "info", "warning", "error", "critical")} | {
    "exception": "ERROR"
}
ROW = re.compile(
    r"^\| `(?P<logger>[\w.]+)` \| (?P<level>[A-Z, ]+) "
    r"\| (?P<quote>``?)(?!`) ?(?P<message>.+?) ?(?P=quote) \|(?P<rest>.*)\|$"
)
CONVERSION = re.compile(r"%[\d.]*[a-z]")


class Logged(NamedTuple):
    """A kind of line; ``level`` lists several where the call decides."""

    logger: str
    level: str
    message: str


def modules() -> list[Path]:
    return sorted(SOURCE.rglob("*.py"))


def logged_in(path: Path) -> Iterator[Logged]:
    tree = ast.parse(path.read_text())
    name = logger_of(tree)
    for call in ast.walk(tree):
        if isinstance(call, ast.Call) and is_log_call(call):
            assert name, f"{path}: name the logger in the module: log = logging.getLogger(...)"
            yield event(path, name, call)


def logger_of(tree: ast.Module) -> str | None:
    for node in tree.body:
        value = node.value if isinstance(node, ast.Assign | ast.AnnAssign) else None
        if isinstance(value, ast.Call) and ast.unparse(value.func) == "logging.getLogger":
            assert isinstance(value.args[0], ast.Constant)
            return str(value.args[0].value)
    return None


def is_log_call(call: ast.Call) -> bool:
    function = call.func
    return (
        isinstance(function, ast.Attribute)
        and isinstance(function.value, ast.Name)
        and function.value.id in {"log", "logger", "logging"}
        and function.attr in {*METHODS, "log"}
    )


def event(path: Path, name: str, call: ast.Call) -> Logged:
    assert isinstance(call.func, ast.Attribute)
    arguments = list(call.args)
    if call.func.attr == "log":
        named = {
            node.attr for node in ast.walk(arguments.pop(0)) if isinstance(node, ast.Attribute)
        }
        levels = sorted(named & set(METHODS.values()), key=logging.getLevelNamesMapping().get)
        level = ", ".join(levels)
    else:
        level = METHODS[call.func.attr]
    message = arguments[0]
    assert isinstance(message, ast.Constant), (
        f"{path.relative_to(ROOT)}:{call.lineno}: the message is to be a constant, and what varies "
        "its arguments, so that lines of a kind can be found"
    )
    return Logged(name, level, str(message.value))


def quoted(message: str) -> str:
    """As Markdown has it where the text itself has backticks."""
    return f"`` {message} ``" if "`" in message else f"`{message}`"


def in_source() -> set[Logged]:
    return {found for path in modules() for found in logged_in(path)}


def rows() -> dict[Logged, list[str]]:
    matches = [ROW.match(line) for line in PAGE.read_text().splitlines()]
    return {
        Logged(row["logger"], row["level"], row["message"]): [
            cell.strip() for cell in row["rest"].split("|")
        ]
        for row in matches
        if row
    }


def test_every_line_that_is_logged_has_a_row():
    missing = sorted(in_source() - set(rows()))
    assert not missing, "add to the table of docs/reference/logs.md:\n" + "\n".join(
        f"| `{each.logger}` | {each.level} | {quoted(each.message)} | fields | when |"
        for each in missing
    )


def test_no_row_is_of_a_line_that_nobody_logs():
    stale = sorted(set(rows()) - in_source())
    assert not stale, "take out of the table of docs/reference/logs.md:\n" + "\n".join(
        " | ".join(each) for each in stale
    )


@pytest.mark.parametrize("logged", sorted(rows()), ids=lambda logged: logged.message[:40])
def test_a_row_names_as_many_fields_as_the_message_has(logged):
    fields, when = rows()[logged]
    named = [] if fields == "none" else fields.split("; ")
    assert len(named) == len(CONVERSION.findall(logged.message.replace("%%", ""))), named
    assert when


def test_all_loggers_have_one_root():
    assert {logged.logger.split(".")[0] for logged in in_source()} == {"orchestra_memory"}


def test_the_walk_finds_what_a_module_logs(tmp_path):
    path = tmp_path / "module.py"
    path.write_text(
        "import logging\n"
        "log = logging.getLogger('orchestra_memory.example')\n"
        "def f(bad):\n"
        "    log.exception('one %s' ' two', bad)\n"
        "    log.log(logging.ERROR if bad else logging.INFO, 'three')\n"
    )
    assert set(logged_in(path)) == {
        Logged("orchestra_memory.example", "ERROR", "one %s two"),
        Logged("orchestra_memory.example", "INFO, ERROR", "three"),
    }
