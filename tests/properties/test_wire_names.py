"""Maps with any number of names, and texts that come again, in Firestore's bytes."""

from orchestra_memory.codec.firestore.encode import document_bytes, map_bytes

from .wire_documents import DOCUMENT, MAP, sorted_by_name, theirs

MORE_THAN_ARE_KEPT = 5_000


def test_names_without_end_are_encoded_like_a_few() -> None:
    for number in range(MORE_THAN_ARE_KEPT):
        document = {f"name {number}": {f"inner {number}": number, "": [{"~": "x"}]}, "text": "t"}
        if number % 100 == 0:
            assert_is(document, expected={f"name {number}", "text"})
        else:
            document_bytes(document)


def test_one_map_of_very_many_names() -> None:
    document = {f"id {number}": f"text {number}" for number in range(MORE_THAN_ARE_KEPT)}
    assert sorted_by_name(document_bytes(document)) == theirs(document)


def test_texts_without_end_are_encoded_like_a_few() -> None:
    for number in range(MORE_THAN_ARE_KEPT):
        document = {"text": f"text {number}", "list": [f"word {number}", "again"]}
        assert sorted_by_name(document_bytes(document)) == theirs(document)


def assert_is(document: dict[str, object], *, expected: set[str]) -> None:
    message = DOCUMENT.FromString(document_bytes(document))
    assert set(message.fields) == expected
    again = MAP.FromString(map_bytes(document))
    assert {name: again.fields[name] for name in again.fields} == {
        name: message.fields[name] for name in message.fields
    }
    (inner,) = (value.map_value for name, value in message.fields.items() if name != "text")
    assert {"~:"} < set(inner.fields)
    assert [
        item.map_value.fields["~:~"].string_value for item in inner.fields["~:"].array_value.values
    ] == ["x"]
