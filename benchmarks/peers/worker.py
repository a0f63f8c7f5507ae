"""The process of one side: takes requests as lines of JSON, and answers each with one.

`python -m benchmarks.peers.worker MODULE PROJECT`, with ``FIRESTORE_EMULATOR_HOST`` set. It runs in
the peer's environment, so it imports only what is there.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import platform
import sys
import time
from importlib import import_module
from importlib.metadata import version
from typing import Any, Final, TextIO

from google.auth.credentials import AnonymousCredentials
from google.cloud.firestore import AsyncClient

from .way import Jobs, Plain, Way

COMMON: Final = ("google-cloud-firestore", "grpcio", "protobuf", "pydantic")
"""Packages whose versions are told besides the side's own."""


class Worker:
    """One side, the records it was given, and what it read last."""

    def __init__(self, module: Any, client: AsyncClient) -> None:
        self._side = module
        self._client = client
        self._ways: dict[tuple[str, str], Way] = {(way.task, way.name): way for way in module.WAYS}
        self._jobs: Jobs = ()
        self._found: Jobs = ()

    async def answer(self, request: Plain) -> Plain:
        if request["do"] == "run":
            return await self._run(request["task"], request["way"], request["place"])
        return {"load": self._load, "found": self._tell}[request["do"]](request)

    def hello(self) -> Plain:
        packages = (*self._side.PACKAGES, *COMMON)
        return {
            "versions": {
                "python": platform.python_version(),
                **{name: version(name) for name in packages},
            },
            "ways": [[way.task, way.name, way.writes] for way in self._ways.values()],
        }

    def _load(self, request: Plain) -> Plain:
        self._jobs = [[self._side.native(plain) for plain in job] for job in request["jobs"]]
        return {}

    async def _run(self, task: str, name: str, place: str) -> Plain:
        """Time one turn. What it wrote is then read back, which takes no part in the time."""
        way = self._ways[task, name]
        store = await self._side.prepare(self._client, place, self._jobs, new=way.writes)
        gc.collect()
        gc.freeze()
        seconds, cpu = time.perf_counter(), time.process_time()
        self._found = await way.run(store, self._jobs)
        seconds, cpu = time.perf_counter() - seconds, time.process_time() - cpu
        gc.unfreeze()
        if way.writes:
            self._found = await self._side.read_back(store, self._jobs)
        return {"seconds": seconds, "cpu": cpu}

    def _tell(self, _request: Plain) -> Plain:
        found = [[self._side.plain(record) for record in job] for job in self._found]
        self._found = ()
        return {"jobs": found}


async def opened(project: str) -> AsyncClient:
    # Made on the loop, as gRPC needs it.
    return AsyncClient(project, credentials=AnonymousCredentials())  # type: ignore[no-untyped-call] # google-auth has no types


def serve(module: str, project: str, requests: TextIO, answers: TextIO) -> None:
    with asyncio.Runner() as runner:
        worker = Worker(import_module(f"{__package__}.{module}"), runner.run(opened(project)))
        _tell(answers, worker.hello())
        for line in requests:
            _tell(answers, runner.run(worker.answer(json.loads(line))))


def _tell(answers: TextIO, answer: Plain) -> None:
    answers.write(json.dumps(answer) + "\n")
    answers.flush()


def main() -> None:
    # What a library prints must not get among the answers.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    _, module, project = sys.argv
    serve(module, project, sys.stdin, answers)


if __name__ == "__main__":
    main()
