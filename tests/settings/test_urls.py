"""Addresses of stores and caches."""

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestra_memory import ConfigurationError
from orchestra_memory.urls import (
    FirestoreUrl,
    LocalUrl,
    SqliteUrl,
    StoreUrl,
    cache_url,
    checked_address,
    masked_url,
    parse_cache_url,
    parse_store_url,
)

KNOWN = {
    "local:": LocalUrl(),
    "local://": LocalUrl(),
    "LOCAL:?namespace=acme": LocalUrl("acme"),
    "sqlite:///relative/state.db": SqliteUrl("relative/state.db"),
    "sqlite:////absolute/state.db": SqliteUrl("/absolute/state.db"),
    "sqlite:///my%20state%3F.db?namespace=a%2Bb": SqliteUrl("my state?.db", "a+b"),
    "sqlite:///my state.db": SqliteUrl("my state.db"),
    "sqlite:///donn\u00e9es.db": SqliteUrl("donn\u00e9es.db"),
    "firestore:": FirestoreUrl(),
    "firestore://project": FirestoreUrl("project"),
    "firestore://project/": FirestoreUrl("project"),
    " firestore://project/(default) ": FirestoreUrl("project", "(default)"),
    "firestore://google.com:project/db": FirestoreUrl("google.com:project", "db"),
    "firestore://project/db?namespace=acme&emulator=localhost:8080": FirestoreUrl(
        "project", "db", "acme", "localhost:8080"
    ),
    "firestore://project?emulator=[::1]:8080": FirestoreUrl("project", emulator="[::1]:8080"),
}


@pytest.mark.parametrize("text", KNOWN)
def test_a_url_names_a_store(text: str) -> None:
    assert parse_store_url(text) == KNOWN[text]


names = st.text(
    st.characters(codec="utf-8", categories=("L", "N", "P", "S"), exclude_characters="/"),
    min_size=1,
    max_size=20,
)
namespaces = st.none() | names.filter(lambda n: n not in {".", ".."} and n[:2] != "__")
paths = st.text(
    st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=40
).filter(lambda path: path != ":memory:")
ports = st.integers(1, 65_535)
addresses = st.builds("{}:{}".format, st.sampled_from(["localhost", "10.0.0.1", "[::1]"]), ports)
firestore_urls = st.one_of(
    st.builds(FirestoreUrl, st.none(), st.none(), namespaces, st.none() | addresses),
    st.builds(FirestoreUrl, names, st.none() | names, namespaces, st.none() | addresses),
)
store_urls = st.one_of(
    firestore_urls, st.builds(SqliteUrl, paths, namespaces), st.builds(LocalUrl, namespaces)
)


@settings(deadline=None)
@given(store_urls)
def test_a_store_url_survives_being_written_and_read(url: StoreUrl) -> None:
    assert parse_store_url(str(url)) == url


@settings(deadline=None)
@given(st.text(max_size=60) | st.text("firestore:/sqlite@?=&#[]%01", max_size=40))
def test_any_text_is_a_store_url_or_a_configuration_error(text: str) -> None:
    with suppress(ConfigurationError):
        parse_store_url(text)
    masked_url(text)


REFUSED = {
    "": "begins with a scheme",
    "state.db": "begins with a scheme",
    "/var/state.db": "begins with a scheme",
    "postgres://host/db": "'postgres'; known: firestore://project/database, sqlite:///",
    "mongodb://user:hunter2@host/db": "extra 'mongodb'",
    "mongodb+srv://user:hunter2@host/db": "extra 'mongodb'",
    "sqlite://state.db": "three slashes",
    "sqlite:state.db": "three slashes",
    "sqlite://": "names a file",
    "sqlite:///": "names a file",
    "sqlite:///:memory:": "use local:",
    "sqlite:///a%00b": "without NUL",
    "sqlite:///a%ff": "percent-encode UTF-8",
    "sqlite:///a#b": "%23",
    "sqlite:///a?mode=ro": "namespace after",
    "sqlite:///a?namespace=x&namespace=y": "each once",
    "sqlite:///a?namespace=": "the namespace of a URL",
    "sqlite:///a?namespace=x/y": "the namespace of a URL",
    "sqlite:///a?namespace=%ff": "the namespace of a URL",
    "local:state": "no path",
    "local://host": "no path",
    "firestore://project/db/more": "reads firestore://project/database",
    "firestore:///db": "reads firestore://project/database",
    "firestore://user:hunter2@project/db": "without a user or password",
    "firestore://a%2Fb": "without '/'",
    "firestore://project?emulator=localhost": "host:port",
    "firestore://project?emulator=localhost:0": "host:port",
    "firestore://project?emulator=localhost:99999": "host:port",
    "firestore://[project/db": "cannot be read",
    "sqlite:///a\nb": "cannot be read",
}


@pytest.mark.parametrize("text", REFUSED)
def test_a_url_that_names_no_store_is_refused_with_the_remedy(text: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        parse_store_url(text)
    assert REFUSED[text] in str(refused.value)
    assert "hunter2" not in str(refused.value)
    assert refused.value.__context__ is None or "hunter2" not in str(refused.value.__context__)


def test_a_firestore_url_with_a_database_needs_a_project() -> None:
    with pytest.raises(ConfigurationError, match="needs a project"):
        FirestoreUrl(None, "db")


@pytest.mark.parametrize(
    "text",
    [
        "redis://localhost",
        "redis://localhost:6379/1",
        "rediss://user:hunter2@cache.example:6380/0",
        "redis://:hunter2@[::1]:6379",
        "unix:///run/redis.sock?db=1",
        "redis+sentinel://:hunter2@a:26379,b:26379/service",
        "redis+cluster://user:hunter2@a:1,b",
    ],
)
def test_a_cache_url_keeps_its_password_and_does_not_show_it(text: str) -> None:
    url = parse_cache_url(text)
    assert url is not None
    assert url.url == text
    assert "hunter2" not in str(url) + repr(url)


@pytest.mark.parametrize("text", ["none", "NONE", " none "])
def test_none_means_no_cache(text: str) -> None:
    assert parse_cache_url(text) is None


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("localhost:6379", "no cache has the scheme"),
        ("localhost", "begins with a scheme"),
        ("memcached://host", "no cache has the scheme 'memcached'; known: redis://host:port"),
        ("redis://", "where the Redis is"),
        ("redis:///0", "where the Redis is"),
        ("unix://", "where the Redis is"),
        ("redis://host:0", "percent-encode"),
        ("redis://host:port", "percent-encode"),
        ("redis://:hunt/er2@host:6379", "redis://"),
        ("redis://u:hunter2@x@host:6379", "percent-encode"),
        ("redis://host/hunter2@host:6379", "percent-encode"),
        ("redis://:hunter2#x@host", "'#'"),
        ("redis+sentinel://:hunter2@a:1,b:hunter2/service", "percent-encode"),
        ("redis+cluster://:hunt/er2@a:1,b:2", "redis://"),
        ("redis+cluster://", "where the Redis is"),
    ],
)
def test_a_url_that_names_no_cache_is_refused_without_showing_it(text: str, why: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        parse_cache_url(text)
    assert why in str(refused.value)
    assert "hunt" not in str(refused.value)
    assert "hunt" not in masked_url(text)
    assert "er2" not in masked_url(text)


def test_host_port_and_password_make_a_cache_url() -> None:
    assert cache_url("h", 1, None).url == "redis://h:1/0"
    assert cache_url("h", 1, "p/w@:").url == "redis://:p%2Fw%40%3A@h:1/0"
    assert cache_url("::1", 6379, None).url == "redis://[::1]:6379/0"
    assert parse_cache_url(cache_url("h", 1, "p/w@:#?").url) is not None


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("redis://user:hunter2@h:1/0?password=hunter2", "redis://**********@h:1/0?**********"),
        ("mongodb://user:hunter2@h/db", "mongodb://**********@h/db"),
        ("sqlite:////var/state.db?namespace=a", "sqlite:////var/state.db?namespace=a"),
        ("local:", "local:"),
        ("hunter2", "**********"),
    ],
)
def test_a_masked_url_shows_where_and_not_the_password(text: str, shown: str) -> None:
    assert masked_url(text) == shown


def test_an_address_is_host_and_port() -> None:
    assert checked_address("127.0.0.1:8080", "X") == "127.0.0.1:8080"
    with pytest.raises(ConfigurationError, match="X must be host:port"):
        checked_address("http://127.0.0.1:8080", "X")
