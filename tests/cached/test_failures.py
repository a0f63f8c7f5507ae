"""What the caller is told of a Redis that fails."""

from __future__ import annotations

import re
import socket
import ssl
from pathlib import Path

import pytest
from redis import exceptions

from orchestra_memory.layers.cached.asking import RESTARTED
from orchestra_memory.layers.cached.failures import FAILURES, MEANING, kind_of, unavailable

PAGE = Path(__file__).parents[2] / "docs/howto/cache.md"
NEVER_LOGGED = {"lag", "bypassed"}
"""They tell of a call, and are no reason to go on without Redis."""

KINDS = [
    (TimeoutError(), "deadline"),
    (exceptions.TimeoutError("Timeout reading from r:6379"), "deadline"),
    (exceptions.MaxConnectionsError("Too many connections"), "pool"),
    (exceptions.ConnectionError("No connection available."), "pool"),
    (exceptions.ConnectionError("Error 111 connecting to r:6379."), "connection"),
    (ConnectionResetError(), "connection"),
    (exceptions.AuthenticationError("invalid username-password pair"), "auth"),
    (exceptions.ResponseError("NOAUTH Authentication required."), "auth"),
    (exceptions.NoPermissionError("no permissions to run 'eval'"), "permission"),
    (exceptions.BusyLoadingError("Redis is loading the dataset in memory"), "loading"),
    (exceptions.ReadOnlyError("can't write against a read only replica"), "readonly"),
    (exceptions.OutOfMemoryError("command not allowed"), "oom"),
    # Redis 6 tells errors of a script's commands within a text of its own.
    (exceptions.ResponseError("Error running script f_1: -OOM command not allowed"), "oom"),
    (exceptions.ResponseError("Error running script f_1: -READONLY You can't"), "readonly"),
    (exceptions.ResponseError("MISCONF Redis is configured to save"), "misconf"),
    (exceptions.ResponseError("BUSY Redis is busy running a script"), "blocked"),
    (exceptions.ResponseError("WRONGTYPE Operation against a key"), "wrongtype"),
    (exceptions.ResponseError("Error running script: attempt to index nil"), "error"),
    (exceptions.ClusterDownError("CLUSTERDOWN"), "clusterdown"),
    (exceptions.RedisClusterException("no node"), "error"),
]


@pytest.mark.parametrize(("error", "kind"), KINDS, ids=repr)
def test_every_failure_has_a_word_for_it(error, kind):
    assert isinstance(error, FAILURES)
    assert kind_of(error) == kind


CAUSES = [
    (ConnectionRefusedError(111, "refused"), "refused"),
    (socket.gaierror(-2, "Name or service not known"), "name"),
    (ssl.SSLCertVerificationError(1, "certificate has expired"), "tls"),
    (ConnectionResetError(104, "reset"), "connection"),
    (FileNotFoundError(2, "no such socket"), "connection"),
]


@pytest.mark.parametrize(("cause", "kind"), CAUSES, ids=repr)
def test_why_there_is_no_connection_is_told(cause, kind):
    told = exceptions.ConnectionError("Error connecting to r:6379.")
    told.__context__ = cause  # which is all that the driver keeps of it
    assert kind_of(told) == kind
    cluster = exceptions.RedisClusterException("Redis Cluster cannot be connected.")
    cluster.__cause__ = told
    assert kind_of(cluster) == kind


def test_the_page_has_a_remedy_for_every_word_that_is_logged():
    table = PAGE.read_text().partition("| word | what to do |")[2].partition("\n\n")[0]
    rows = [line.split(" | ")[0] for line in table.splitlines()[2:]]
    words = {word for row in rows for word in re.findall(r"`(\w+)`", row)}
    assert words >= MEANING.keys() - NEVER_LOGGED


def test_a_refused_connection_may_be_followed_by_another_run_of_the_server():
    assert {"refused", "connection"} <= RESTARTED


@pytest.mark.parametrize("kind", [*MEANING, "clusterdown", "error"])
def test_the_message_names_the_kind_and_what_it_means(kind):
    error = unavailable(kind, "read")
    assert error.operation == "read"
    assert f"({kind}): " in str(error)


def test_a_mistake_is_no_failure_of_redis():
    assert not isinstance(ValueError(), FAILURES)
    assert not isinstance(TypeError(), FAILURES)
