"""Record types may have private attributes and a hook of their own, which pydantic still serves."""

import copy
import pickle

from pydantic import PrivateAttr

from orchestra_memory import MemoryItem, Record, Ref
from orchestra_memory.codec.document import decode, encode


class Plain(Record, collection="plain"):
    id: str


class Hooked(Plain, collection="hooked"):
    _seen: list[str] = PrivateAttr(default_factory=list)

    def model_post_init(self, _context: object) -> None:
        self._seen.append(self.id)


class Below(Hooked, collection="below"):
    more: int = 0


def test_a_record_knows_of_no_other_fields_unless_some_were_stored() -> None:
    record = Plain(id="a")
    assert dict(record.unknown_fields) == {}
    document = {**encode(record), "later": 1}
    assert dict(decode(Ref(Plain, "a"), document).unknown_fields) == {"later": 1}


def test_private_attributes_and_hooks_of_a_record_type_are_kept() -> None:
    for record in (Hooked(id="a"), Below(id="a")):
        assert record._seen == ["a"]
        assert dict(record.unknown_fields) == {}
        assert decode(Ref(type(record), "a"), encode(record))._seen == ["a"]


def test_copies_and_pickles_of_records_are_equal_to_them() -> None:
    record = MemoryItem(id="a", user_id="u", text_content="t")
    assert pickle.loads(pickle.dumps(record)) == copy.deepcopy(record) == record
