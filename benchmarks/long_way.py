"""`python -m benchmarks.long_way HOST:PORT MILLISECONDS`: a long way to a server.

What passes is late by so much in each direction, in order, and as wide as the machine lets it be.
"""

from __future__ import annotations

import asyncio
import sys

from orchestra_memory.testing.faults import FaultProxy


async def main(server: str, milliseconds: str) -> None:
    """Serve until stdin closes."""
    host, _, port = server.rpartition(":")
    async with FaultProxy(host, int(port)) as proxy:
        proxy.requests.delay = proxy.answers.delay = float(milliseconds) / 1e3
        print(f"{proxy.host}:{proxy.port}", flush=True)
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
