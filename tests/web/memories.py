"""Memories whose health is what a test says."""

import asyncio

import orchestra_memory as om
from orchestra_memory.health import Health, Status


class Told(om.LocalMemory):
    """Says what it was told to say, once it is let; counts how often it was asked."""

    def __init__(self, *answers: Health | Exception) -> None:
        super().__init__()
        self.answers = list(answers)
        self.asked = 0
        self.is_asked = asyncio.Event()
        self.let = asyncio.Event()
        self.let.set()

    async def health(self) -> Health:
        self.asked += 1
        self.is_asked.set()
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        await self.let.wait()
        if isinstance(answer, Exception):
            raise answer
        return answer


def being(status: Status, detail: str = "") -> Health:
    return Health("firestore", status, detail, 0.004)
