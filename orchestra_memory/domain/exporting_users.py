"""Everything of one user as JSON lines, page by page; whole, or continued."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from anyio import to_thread

from ..codec.bytes import loads
from ..codec.document import decode, key_in
from ..layers.fallback.conflicts import Conflicted
from ..operations import Ref
from ..protocol import MemoryManager
from ..record import Record
from ..transfer.entries import UnreadableFile
from ..transfer.files import WholePart, whole_part
from ..transfer.jsonl import header_line, record_line
from ..transfer.parts import PartFile
from .belongings import Place, conflicts_of, pages

Namespaces: TypeAlias = Sequence[tuple[str | None, MemoryManager]]
"""By name, and the memory that is bound to it."""


@dataclass(frozen=True, slots=True)
class _Step:
    """One query of an export; without a place, that for what lost in outages."""

    namespace: str | None
    memory: MemoryManager
    place: Place | None

    async def records(self, user_id: str, behind: str | None) -> AsyncGenerator[list[Any]]:
        if self.place is None:
            async with aclosing(conflicts_of(self.memory, user_id, behind)) as conflicts:
                async for each in conflicts:
                    yield list(each)
            return
        async with aclosing(pages(self.memory, self.place.query(user_id, behind))) as found:
            async for page in found:
                if page.corrupt:
                    raise page.corrupt[0]
                yield [each for each in page.records if self.place.is_first_of(each, user_id)]


class UserExport:
    """An export of one user's records into a file."""

    def __init__(
        self, path: Path, user_id: str, places: Sequence[Place], namespaces: Namespaces
    ) -> None:
        self._path = path
        self._user_id = user_id
        models = dict.fromkeys(place.model for place in places)
        self._header = header_line([*models, Conflicted], None, user_id)
        self._models: dict[str, type[Record]] = {each.__name__: each for each in models}
        self._models[Conflicted.__name__] = Conflicted
        self._steps = [
            _Step(namespace, memory, place)
            for namespace, memory in namespaces
            for place in (*places, None)
        ]

    async def run(self, *, resume: bool) -> int:
        """Write it; how many records the file has."""
        part = WholePart()
        if resume:
            part = await to_thread.run_sync(whole_part, self._path, self._header)
        number = part.records
        with PartFile(self._path, part.size) as file:
            if not number:
                await to_thread.run_sync(file.append, self._header)
            async with aclosing(self._blocks(part.last)) as blocks:
                async for lines in blocks:
                    await to_thread.run_sync(file.append, b"".join(lines))
                    number += len(lines)
            await to_thread.run_sync(file.finish)
        return number

    async def _blocks(self, last: bytes) -> AsyncGenerator[list[bytes]]:
        first, behind = self._start_behind(last) if last else (0, None)
        for step in self._steps[first:]:
            async with aclosing(step.records(self._user_id, behind)) as found:
                async for records in found:
                    if records:
                        yield [record_line(each, step.namespace) for each in records]
            behind = None

    def _start_behind(self, line: bytes) -> tuple[int, str]:
        """The step that wrote this line, and the key of its record."""
        value = loads(line)
        model = self._models[value["type"]]
        key = key_in(model, value["document"])
        record = decode(Ref(model, key), value["document"])
        for number, step in enumerate(self._steps):
            if step.namespace == value.get("namespace") and _wrote(step, record, self._user_id):
                return number, key
        raise UnreadableFile("the part was written for other record types; export without --resume")


def _wrote(step: _Step, record: Record, user_id: str) -> bool:
    if step.place is None:
        return isinstance(record, Conflicted)
    return step.place.has(record, user_id)
