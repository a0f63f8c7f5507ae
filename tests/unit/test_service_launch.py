"""Servers come up, answer, and are gone afterwards, whatever ends them."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from orchestra_memory.testing import emulator, redis_server
from orchestra_memory.testing.emulator import Emulator
from orchestra_memory.testing.launch import serving
from orchestra_memory.testing.probe import ask, docker_usable, free_port
from orchestra_memory.testing.redis_server import RedisServer
from orchestra_memory.testing.service import (
    Address,
    Kind,
    Program,
    ServiceMissing,
)

SERVER = """
import socket, sys
with socket.create_server(("127.0.0.1", int(sys.argv[1]))) as listener:
    while True:
        connection, _ = listener.accept()
        with connection:
            connection.recv(100)
            connection.sendall(b"hello")
"""
KIND: Kind = replace(emulator.KIND, ready=lambda address: ask(address, b"?") == b"hello")


def program(source: str, *arguments: str) -> Program:
    return Program((sys.executable, "-c", source, *arguments), "a program")


WORKS = program(SERVER, "{port}")
FAILS = program("raise SystemExit('an error of its own')")


def eventually(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 5
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


def silent(address: Address) -> bool:
    return not KIND.ready(address)


def test_a_program_serves_and_is_stopped() -> None:
    with serving(KIND, [WORKS]) as served:
        assert KIND.ready(served.address)
        assert served.how == "a program"
    assert silent(served.address)


def test_a_program_is_stopped_when_the_test_fails() -> None:
    with pytest.raises(ZeroDivisionError), serving(KIND, [WORKS]) as served:
        raise ZeroDivisionError
    assert silent(served.address)


def test_a_stopped_process_is_killed_all_the_same() -> None:
    with serving(KIND, [WORKS]) as served:
        assert served.pid
        os.kill(served.pid, signal.SIGSTOP)
    with pytest.raises(ProcessLookupError):
        os.kill(served.pid, 0)


def test_the_next_source_serves_when_the_first_fails() -> None:
    with serving(KIND, [FAILS, WORKS]) as served:
        assert KIND.ready(served.address)


def test_no_source_that_works_gives_every_reason() -> None:
    complaint = "a program: it ended at once: an error of its own"
    with pytest.raises(ServiceMissing, match=complaint), serving(KIND, [FAILS]):
        pass


def test_a_port_that_is_taken_is_refused() -> None:
    with (
        serving(KIND, [WORKS]) as first,
        pytest.raises(ServiceMissing, match=f"port {first.address.port} is taken"),
        serving(KIND, [WORKS], port=first.address.port),
    ):
        pass


def test_a_port_can_be_used_again() -> None:
    port = free_port()
    for _ in range(2):
        with serving(KIND, [WORKS], port=port) as served:
            assert served.address.port == port


def test_a_killed_parent_leaves_no_server_behind(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(
        "import os, signal\n"
        "from orchestra_memory.testing import redis_server\n"
        "with redis_server.start(own=True) as server:\n"
        "    print(server.url, flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    if isinstance(redis_server.find_program(), str):
        pytest.skip("no redis-server on the PATH")
    ended = subprocess.run([sys.executable, script], stdout=subprocess.PIPE, text=True, check=False)
    assert ended.returncode == -signal.SIGKILL
    address = redis_server.parse_url(ended.stdout.strip())
    assert eventually(lambda: not redis_server.is_ready(address))


def test_the_emulator_stores_a_document(
    firestore_emulator: Emulator, firestore_project: str
) -> None:
    path = f"/v1/projects/{firestore_project}/databases/(default)/documents/notes/one"
    fields = {"text": {"stringValue": "hello"}}
    connection = HTTPConnection(firestore_emulator.host)
    connection.request("PATCH", path, json.dumps({"fields": fields}))
    assert json.load(connection.getresponse())["fields"] == fields
    connection.request("GET", path)
    assert json.load(connection.getresponse())["fields"] == fields
    connection.close()


def test_redis_answers(redis_server: RedisServer) -> None:
    from orchestra_memory.testing.redis_server import is_ready, parse_url

    assert is_ready(parse_url(redis_server.url))


class Daemon(BaseHTTPRequestHandler):
    """A Docker daemon that answers, but starts nothing."""

    def do_GET(self) -> None:
        self.send_response(200 if self.path in {"/_ping", "/version"} else 500)
        self.end_headers()
        self.wfile.write(b'{"ApiVersion": "1.44", "message": "no disk left"}')

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def useless_daemon(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with HTTPServer(("127.0.0.1", 0), Daemon) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("DOCKER_HOST", f"tcp://127.0.0.1:{server.server_port}")
        yield
        server.shutdown()


@pytest.mark.usefixtures("useless_daemon")
def test_docker_that_cannot_start_the_image_gives_way_to_the_program() -> None:
    assert docker_usable()
    with serving(KIND, [KIND.container, WORKS]) as served:
        assert served.how == "a program"


def test_a_docker_client_without_a_daemon_is_of_no_use(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/docker.sock")
    assert not docker_usable()
