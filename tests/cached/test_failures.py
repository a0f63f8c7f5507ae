"""What the caller is told of a Redis that fails."""

from __future__ import annotations

import pytest
from redis import exceptions

from orchestra_memory.layers.cached.failures import FAILURES, MEANING, kind_of, unavailable

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
    (exceptions.ResponseError("WRONGTYPE Operation against a key"), "wrongtype"),
    (exceptions.ResponseError("Error running script: attempt to index nil"), "error"),
    (exceptions.ClusterDownError("CLUSTERDOWN"), "clusterdown"),
    (exceptions.RedisClusterException("no node"), "error"),
]


@pytest.mark.parametrize(("error", "kind"), KINDS, ids=repr)
def test_every_failure_has_a_word_for_it(error, kind):
    assert isinstance(error, FAILURES)
    assert kind_of(error) == kind


@pytest.mark.parametrize("kind", [*MEANING, "clusterdown", "error"])
def test_the_message_names_the_kind_and_what_it_means(kind):
    error = unavailable(kind, "read")
    assert error.operation == "read"
    assert f"({kind}): " in str(error)


def test_a_mistake_is_no_failure_of_redis():
    assert not isinstance(ValueError(), FAILURES)
    assert not isinstance(TypeError(), FAILURES)
