"""Servers of one's own that hang, die, and come back on the same port."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import ExitStack, closing, suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from orchestra_memory.errors import OrchestraMemoryError
from orchestra_memory.testing import emulator, redis_server
from orchestra_memory.testing.launch import serving
from orchestra_memory.testing.service import Address, Kind, Missing, Program, ServiceMissing

from . import processes

LOOPBACK: Final = "127.0.0.1"
TRANSFER: Final = 60.0
"""Seconds an export or an import may take."""
REMEDY: Final = "only a server that runs as a process of this machine can be stopped and killed"


class Service:
    """A server that is a process of this machine, for as long as a ``with`` lasts.

    ``port`` stays the same over all its lives, ``pid`` is the process of the present one. Entering
    and `restart` wait until it answers. Raises ``ServiceMissing``, which says what to install.
    """

    def __init__(self, kind: Kind, options: Sequence[str] = ()) -> None:
        self.port: int = 0
        self.pid: int = 0
        self.lives: int = 0
        self._kind = kind
        self._options = tuple(options)
        self._running = ExitStack()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._kind.name} on port {self.port}, life {self.lives}>"

    def __enter__(self) -> Self:
        self._start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._running.close()

    @property
    def address(self) -> Address:
        """Where it listens, in all its lives."""
        return Address(LOOPBACK, self.port)

    def stop(self) -> None:
        """Let it hang: connections stay open and are even taken, and nothing is answered."""
        processes.stop(self.pid)

    def resume(self) -> None:
        """Let it go on."""
        processes.resume(self.pid)

    def kill(self) -> None:
        """End it at once; what it kept in memory is gone. Connections are reset."""
        # It may be dead already.
        with suppress(ProcessLookupError):
            processes.kill(self.pid)

    async def restart(self) -> None:
        """Kill it, if it lives, and start it again on the same port."""
        self.kill()
        await asyncio.to_thread(self._again)

    def _again(self) -> None:
        self._running.close()
        self._start()

    def _start(self) -> None:
        program = self._kind.find_program()
        if not isinstance(program, Program):
            raise ServiceMissing(Missing(self._kind.name, (program,), REMEDY))
        served = self._running.enter_context(
            serving(self._kind, (program,), port=self.port, options=self._options)
        )
        self.port, self.pid = served.address.port, served.pid or 0
        self.lives += 1


class RedisService(Service):
    """A Redis of one's own. It keeps everything in memory, so that one that was killed is empty.

    `options` are arguments of ``redis-server`` (``"--maxmemory", "5mb"``).
    """

    def __init__(self, *options: str) -> None:
        super().__init__(redis_server.KIND, options)

    @property
    def url(self) -> str:
        return f"redis://{self.address}/0"


class ExportFailed(OrchestraMemoryError):
    """The emulator did not write, or read, what it was to keep."""


class EmulatorService(Service):
    """A Firestore emulator of one's own.

    It keeps everything in memory: one that was killed has forgotten what it committed. `restart`
    with ``keep`` exports before and imports after; documents have the time of the import as their
    ``update_time`` then, so that a revision from before it is none any more.
    """

    def __init__(self) -> None:
        super().__init__(emulator.KIND)

    @property
    def host(self) -> str:
        """What ``FIRESTORE_EMULATOR_HOST`` takes."""
        return str(self.address)

    async def restart(self, *, keep: Iterable[str] = ()) -> None:
        """Kill it and start it again, with what these projects hold, or empty.

        What is committed after the export is lost: let nobody reach it from before this call on.
        Raises ``ExportFailed``, with the server as it was, where it hangs or is dead.
        """
        projects = list(keep)
        with tempfile.TemporaryDirectory(prefix="emulator-") as folder:
            for project in projects:
                await self.export_to(Path(folder), project)
            await super().restart()
            for project in projects:
                await self.import_from(Path(folder), project)

    async def export_to(self, folder: Path, project: str) -> None:
        """Write all documents of the default database of `project` into a folder of that name."""
        body = {"export_directory": str(folder), "export_name": project}
        await asyncio.to_thread(self._ask, project, "export", body)

    async def import_from(self, folder: Path, project: str) -> None:
        """Read what `export_to` has written there; other documents stay."""
        overall = folder / project / f"{project}.overall_export_metadata"
        body = {"export_directory": str(overall)}
        await asyncio.to_thread(self._ask, project, "import", body)

    def _ask(self, project: str, what: str, body: dict[str, Any]) -> None:
        database = f"projects/{project}/databases/(default)"
        text = json.dumps({"database": database, **body})
        headers = {"Content-Type": "application/json"}
        connection = HTTPConnection(self.address.host, self.port, timeout=TRANSFER)
        try:
            with closing(connection):
                path = f"/emulator/v1/projects/{project}:{what}"
                connection.request("POST", path, text, headers)
                answer = connection.getresponse()
                answer.read()
        except (OSError, HTTPException) as error:
            raise ExportFailed(f"the emulator gave no answer to {what}: {error}") from error
        if answer.status != 200:
            raise ExportFailed(f"the emulator refused to {what}: HTTP status {answer.status}")
