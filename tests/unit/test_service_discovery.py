"""Which source a service comes from, decided from what a machine offers."""

from dataclasses import replace

import pytest

from orchestra_memory.testing.emulator import KIND
from orchestra_memory.testing.probe import named_in
from orchestra_memory.testing.redis_server import parse_url
from orchestra_memory.testing.service import (
    Address,
    Found,
    Missing,
    Program,
    Running,
    choose,
)

HERE = Address("127.0.0.1", 8080)
JAR = Program(("java", "--port={port}"), "a jar")
RUNNING = Running(HERE, "FIRESTORE_EMULATOR_HOST")
NOTHING = Found(named=None, docker=False, program="no gcloud on the PATH")


def test_a_running_server_is_used_alone() -> None:
    assert choose(KIND, Found(named=RUNNING, docker=True, program=JAR)) == (RUNNING,)


def test_docker_comes_before_the_program() -> None:
    assert choose(KIND, Found(named=None, docker=True, program=JAR)) == (KIND.container, JAR)


@pytest.mark.parametrize(
    ("found", "source"),
    [
        (replace(NOTHING, docker=True), KIND.container),
        (replace(NOTHING, program=JAR), JAR),
    ],
)
def test_what_is_there_is_enough(found: Found, source: object) -> None:
    assert choose(KIND, found) == (source,)


def test_nothing_there_says_what_is_missing_and_how_to_get_it() -> None:
    missing = choose(KIND, NOTHING)
    assert isinstance(missing, Missing)
    assert "no gcloud on the PATH" in str(missing)
    assert "no Docker daemon" in str(missing)
    assert str(missing).endswith(KIND.remedy)


def test_a_dead_address_is_not_replaced_by_another_server() -> None:
    missing = choose(KIND, Found(named="nothing answers there", docker=True, program=JAR))
    assert isinstance(missing, Missing)
    assert missing.reasons == ("nothing answers there",)


def test_the_environment_names_a_server_that_answers() -> None:
    kind = replace(KIND, ready=lambda _: True)
    assert named_in({"FIRESTORE_EMULATOR_HOST": "127.0.0.1:8080"}, kind) == RUNNING


def test_the_environment_names_a_server_that_does_not_answer() -> None:
    kind = replace(KIND, ready=lambda _: False)
    named = named_in({"FIRESTORE_EMULATOR_HOST": "127.0.0.1:8080"}, kind)
    assert named == "FIRESTORE_EMULATOR_HOST is set, but nothing answers at 127.0.0.1:8080"


def test_the_environment_names_nonsense() -> None:
    named = named_in({"FIRESTORE_EMULATOR_HOST": "localhost"}, KIND)
    assert named == "FIRESTORE_EMULATOR_HOST is set, but not of the form host:port"


@pytest.mark.parametrize("environ", [{}, {"FIRESTORE_EMULATOR_HOST": ""}])
def test_the_environment_names_nothing(environ: dict[str, str]) -> None:
    assert named_in(environ, KIND) is None


@pytest.mark.parametrize("text", ["127.0.0.1:8080", "[::1]:8080", "emulator:1"])
def test_an_address_reads_as_it_prints(text: str) -> None:
    assert str(Address.parse(text)) == text


@pytest.mark.parametrize("text", ["", "localhost", ":8080", "localhost:", "localhost:http"])
def test_an_address_needs_host_and_port(text: str) -> None:
    with pytest.raises(ValueError, match="host:port"):
        Address.parse(text)


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("redis://cache", Address("cache", 6379)),
        ("redis://user:secret@cache:7000/3", Address("cache", 7000)),
    ],
)
def test_a_redis_url_names_an_address(url: str, address: Address) -> None:
    assert parse_url(url) == address


@pytest.mark.parametrize("url", ["cache:6379", "rediss://cache", "redis://"])
def test_other_redis_urls_are_refused_without_repeating_them(url: str) -> None:
    with pytest.raises(ValueError, match="redis://host:port"):
        parse_url(url)
