"""What a worker is to do."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Job:
    """One life of the worker in a ``slot``.

    ``store`` is ``sqlite`` or a project of the emulator; it and the Redis at ``redis``, a URL, are
    reached through proxies at these addresses. ``timeout`` is the deadline of a call, in seconds.
    The clock of the journal is ``clock`` seconds off, and jumps to so many after ``jump_after``
    seconds. ``facts`` were acknowledged to earlier lives, and are to be read again: not where the
    journal's directory is ``shared`` with other slots, who may have taken over what waits.
    """

    slot: int
    life: int
    mode: str
    store: str
    host: str
    port: int
    redis: str
    journal: str
    seed: str
    tasks: int = 4
    pause: float = 0.004
    timeout: float = 0.5
    drain: float = 0.5
    clock: float = 0.0
    jump: float = 0.0
    jump_after: float = 0.0
    shared: bool = False
    facts: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def name(self) -> str:
        return f"w{self.slot}.{self.life}"

    @property
    def target(self) -> str:
        """What the journal and the cache know the store by."""
        return f"outage/{self.store}"
