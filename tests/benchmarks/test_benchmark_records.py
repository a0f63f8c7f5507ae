"""The benchmarks' sample records."""

from benchmarks.records import mean_bytes, sessions


def test_the_same_records_come_in_every_run():
    assert sessions(2, 5) == sessions(2, 5)


def test_every_record_has_an_id_of_its_own_and_the_session_it_belongs_to():
    made = sessions(3, 20)
    assert len({record.id for session in made for record in session}) == 60
    assert len({record.session_id for session in made for record in session}) == 3
    assert all(len({record.timestamp for record in session}) == 20 for session in made)


def test_a_record_is_about_a_kilobyte():
    assert 900 < mean_bytes(sessions(1, 100)[0]) < 1_200


def test_vectors_are_as_long_as_asked():
    (session,) = sessions(1, 2, embedding=8)
    assert [len(record.embedding or ()) for record in session] == [8, 8]
    assert sessions(1, 1)[0][0].embedding is None
