"""The pytest plugin, seen from a project that has the library installed."""

import pytest

from orchestra_memory.testing.redis_server import RedisServer

DEAD = "127.0.0.1:1"
USES_THE_EMULATOR = "def test_it(firestore_emulator): pass"


@pytest.fixture
def no_emulator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", DEAD)


@pytest.mark.usefixtures("no_emulator")
def test_a_missing_service_skips_and_says_why(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(USES_THE_EMULATOR)
    result = pytester.runpytest()
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(
        [
            "firestore emulator | no: 1 skipped *| Docker; *",
            f"no Firestore emulator (FIRESTORE_EMULATOR_HOST is set, but *{DEAD}): start Docker*",
        ]
    )


@pytest.mark.usefixtures("no_emulator")
@pytest.mark.parametrize("option", ["--require=firestore", "--require=redis,firestore"])
def test_a_required_service_fails_where_it_is_missing(
    pytester: pytest.Pytester, option: str
) -> None:
    pytester.makepyfile(USES_THE_EMULATOR)
    result = pytester.runpytest(option)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["firestore emulator | no: 1 error *"])


def test_an_unknown_service_is_refused(pytester: pytest.Pytester) -> None:
    result = pytester.runpytest("--require=oracle")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--require=oracle: known are firestore, redis"])


def test_other_projects_see_nothing_of_it(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_it(): pass")
    result = pytester.runpytest()
    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("*backend*")


def test_other_projects_load_no_driver(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        "import sys\n"
        "def test_it():\n"
        "    loaded = {'google.cloud', 'redis', 'docker', 'testcontainers'} & set(sys.modules)\n"
        "    assert not loaded"
    )
    pytester.runpytest_subprocess().assert_outcomes(passed=1)


def test_backends_are_counted_by_outcome(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.parametrize("n", range(3))
        def test_sqlite(use_backend, n):
            use_backend("sqlite")
            use_backend("mongodb")
            assert n
        """
    )
    result = pytester.runpytest()
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(
        [
            "local * | no: not in this run *",
            "sqlite * | yes: 1 failed, 2 passed *",
            "mongodb * | yes: 1 failed, 2 passed *",
        ]
    )


def test_the_table_is_made_even_where_a_whole_module_is_skipped(pytester):
    pytester.makepyfile(
        test_tested="def test_sqlite(use_backend): use_backend('sqlite')",
        test_left_out="import pytest; pytest.skip('not here', allow_module_level=True)",
    )
    result = pytester.runpytest()
    result.assert_outcomes(passed=1, skipped=1)
    result.stdout.fnmatch_lines(["sqlite * | yes: 1 passed *"])


def test_the_table_is_of_every_process_that_ran_tests(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, redis_server: RedisServer
) -> None:
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", DEAD)
    monkeypatch.setenv("REDIS_URL", redis_server.url)
    pytester.makepyfile(
        test_one=USES_THE_EMULATOR,
        test_two="def test_it(redis_server, use_backend): use_backend('sqlite')",
    )
    result = pytester.runpytest_subprocess("-n2", "--dist=loadfile")
    result.assert_outcomes(passed=1, skipped=1)
    result.stdout.fnmatch_lines(
        [
            "sqlite * | yes: 1 passed *",
            "firestore emulator | no: 1 skipped *",
            "redis * | yes: 1 passed (REDIS_URL) *",
            "no Firestore emulator (FIRESTORE_EMULATOR_HOST is set, but *",
        ]
    )
