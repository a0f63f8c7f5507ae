"""`python -m benchmarks.domain.jobs JOB`: a process that does one large job, and its size.

`JOB` and what is printed are JSON. The jobs go through more records than fit into a process that is
to stay small, so each has one of its own.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

from orchestra_memory import AgentState, Memory, MemoryItem, Query, Record
from orchestra_memory.transfer.backup import backup
from orchestra_memory.transfer.migrate import MigrateOptions, migrate, verify
from orchestra_memory.transfer.restore import restore

from ..measure import timed, watched
from ..process import ROOT
from ..records import streamed
from ..streaming import Digest, peak
from ..turns import Cost
from . import stores


@dataclass(frozen=True, slots=True)
class Job:
    """What to do with the store at ``url``.

    ``path`` is a backup or the folder of an earlier system; a migration keeps its report at
    ``report``. ``count`` records are made. What is ``watched`` is slowed by it, and not timed.
    """

    verb: str
    url: str
    path: str = ""
    report: str = ""
    count: int = 0
    watched: bool = False


@dataclass(frozen=True, slots=True)
class Done:
    """What came of a job.

    ``records`` it took, or found right; ``seconds`` of time and of processor time; ``peak`` is the
    most memory that the process ever had until then, in bytes. ``digest`` is of all records that
    are in the store afterwards, where the job changes it. ``callback`` is the most processor time,
    in seconds, that one callback on the event loop took without the garbage collector, if watched.
    """

    records: int
    seconds: float
    cpu: float
    peak: int
    digest: str = ""
    callback: float = 0.0

    @property
    def cost(self) -> Cost:
        return Cost(self.seconds, self.cpu, None)


Doer: TypeAlias = Callable[[Job], Awaitable[Done]]


async def in_own_process(job: Job) -> Done:
    """Raises ``CalledProcessError`` if it fails; what it says goes to the screen."""
    command = [sys.executable, "-m", __name__, json.dumps(asdict(job))]
    answer = await asyncio.to_thread(
        subprocess.run, command, cwd=ROOT, stdout=subprocess.PIPE, check=True
    )
    return Done(**json.loads(answer.stdout))


async def here(job: Job) -> Done:
    """Do it in this process, whose size tells nothing of the job."""
    verb = _VERBS[job.verb]
    async with stores.opened(job.url) as memory:
        if job.watched:
            records, seen = await watched(verb.run(memory, job))
            return Done(records, 0.0, 0.0, peak(), callback=seen.work)
        records, cost = await timed(verb.run(memory, job), None)
        size = peak()
        digest = str(await _digest(memory, verb.changes)) if verb.changes else ""
    return Done(records, cost.seconds, cost.client_cpu, size, digest)


async def _digest(memory: Memory, model: type[Record]) -> Digest:
    digest = Digest()
    async for record in memory.scan(Query(model)):
        digest.add(record)
    return digest


async def _fill(memory: Memory, job: Job) -> int:
    await memory.put_many(streamed(job.count))
    return job.count


async def _migrate(memory: Memory, job: Job) -> int:
    options = MigrateOptions(report=Path(job.report))
    return (await migrate(job.path, memory, options=options)).migrated


async def _migrate_again(memory: Memory, job: Job) -> int:
    options = MigrateOptions(report=Path(job.report))
    return (await migrate(job.path, memory, options=options)).records["unchanged"]


async def _verify(memory: Memory, job: Job) -> int:
    return (await verify(job.path, memory)).records["verified"]


async def _migrate_by_hand(memory: Memory, job: Job) -> int:
    return (await memory.put_many(_states_in(Path(job.path)))).count


def _states_in(folder: Path) -> Iterator[AgentState]:
    for path in sorted(folder.rglob("*.json")):
        for agent_id, state in json.loads(path.read_bytes())["agents"].items():
            yield AgentState(agent_id=agent_id, **state)


async def _backup(memory: Memory, job: Job) -> int:
    return (await backup(memory, Path(job.path))).seal.total


async def _restore(memory: Memory, job: Job) -> int:
    return (await restore(memory, Path(job.path))).records


@dataclass(frozen=True, slots=True)
class _Verb:
    run: Callable[[Memory, Job], Coroutine[Any, Any, int]]
    changes: type[Record] | None = None


_VERBS: Final[Mapping[str, _Verb]] = {
    "fill": _Verb(_fill),
    "migrate": _Verb(_migrate, AgentState),
    "migrate again": _Verb(_migrate_again, AgentState),
    "verify": _Verb(_verify),
    "migrate by hand": _Verb(_migrate_by_hand, AgentState),
    "backup": _Verb(_backup),
    "restore": _Verb(_restore, MemoryItem),
}


if __name__ == "__main__":
    print(json.dumps(asdict(asyncio.run(here(Job(**json.loads(sys.argv[1])))))))
