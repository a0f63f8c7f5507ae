"""Any order of steps, with crashes between and within them, agrees with a plain list."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule

from orchestra_memory.resilience.journal import Draft

from .lives import Lives
from .parts import document, log_size, opened

KEYS = ("a", "b", "c")
picks = st.integers(0, 1_000)
drawn_drafts = st.lists(
    st.tuples(st.sampled_from(KEYS), st.integers(0, 3_000)), min_size=1, max_size=4
)
batches = st.sampled_from((None, "a", "b"))


@dataclass
class Kept:
    """What must be in the journal."""

    draft: Draft
    reason: str | None = None
    batch: str | None = None


class JournalMachine(Lives):
    def __init__(self) -> None:
        self.model: list[Kept] = []
        super().__init__()

    def start(self, directory: Path) -> None:
        """A process begins in this directory, and takes over what it finds."""
        self.directory = directory
        opening = opened(directory, clock=self.clock)
        self.journal = self.run(self.exits.enter_async_context(opening))
        self.run(self.journal.adopt())

    def entries(self) -> list[Any]:
        return [*self.run(self.journal.pending()), *self.run(self.journal.dead_letters())]

    def numbers_of(self, kept: list[Kept]) -> list[int]:
        by_id = {entry.id: entry.number for entry in self.entries()}
        return [by_id[each.draft.id] for each in kept]

    @rule(drawn=drawn_drafts, batch=batches)
    def append(self, drawn: list[tuple[str, int]], batch: str | None) -> None:
        drafts = [Draft(document(key), b"x" * size) for key, size in drawn]
        self.run(self.journal.append(drafts, batch=batch))
        self.model += [Kept(draft, batch=batch) for draft in drafts]

    @rule(wanted=st.sets(picks, max_size=3), batch=st.sampled_from(("c", "d")))
    def bind(self, wanted: set[int], batch: str) -> None:
        bound = [self.model[pick] for pick in wanted if pick < len(self.model)]
        self.run(self.journal.bind(self.numbers_of(bound), batch))
        for kept in bound:
            kept.batch = batch

    @rule(wanted=st.sets(picks, max_size=3))
    def settle(self, wanted: set[int]) -> None:
        gone = [self.model[pick] for pick in wanted if pick < len(self.model)]
        self.run(self.journal.settle(self.numbers_of(gone)))
        self.model = [kept for kept in self.model if kept not in gone]

    @rule(pick=picks, reason=st.sampled_from((None, "refused", "forbidden")))
    def bury_or_revive(self, pick: int, reason: str | None) -> None:
        if self.model:
            kept = self.model[pick % len(self.model)]
            (number,) = self.numbers_of([kept])
            if reason is None:
                self.run(self.journal.revive(number))
            else:
                self.run(self.journal.dead_letter(number, reason))
            kept.reason = reason

    @rule(seconds=st.sampled_from((-3_600, -1, 0, 60, 86_400)))
    def set_the_clock(self, seconds: int) -> None:
        self.clock.move(seconds=seconds)

    @rule()
    def end_and_begin_again(self) -> None:
        self.end()
        self.start(self.directory)

    @rule()
    def crash(self) -> None:
        left = self.copy()
        self.end()
        self.start(left)

    @rule(drawn=drawn_drafts, batch=batches, share=st.floats(0, 1))
    def crash_within_a_commit(
        self, drawn: list[tuple[str, int]], batch: str | None, share: float
    ) -> None:
        before, model = log_size(self.journal), [*self.model]
        self.append(drawn, batch)
        left = self.copy()
        after = log_size(self.journal, left)
        if after > before and share < 1:
            log = left / f"{self.journal.path.name}-wal"
            os.truncate(log, before + int((after - before) * share))
            self.model = model
        self.end()
        self.start(left)

    @rule(step=st.integers(0, 5))
    def crash_while_taking_over(self, step: int) -> None:
        left = self.copy()
        self.end()
        steps, unlink = iter(range(100)), Path.unlink

        def interrupted(path: Path, *, missing_ok: bool = False) -> None:
            if next(steps) >= step:
                raise InterruptedError
            unlink(path, missing_ok=missing_ok)

        with patch.object(Path, "unlink", interrupted), suppress(InterruptedError):
            self.start(left)
        again = self.copy()
        self.end()
        self.start(again)

    @invariant()
    def it_holds_what_it_must_in_order(self) -> None:
        pending = self.run(self.journal.pending())
        waiting = [kept for kept in self.model if kept.reason is None]
        expected = [kept.draft for kept in waiting]
        assert [(e.id, e.document, e.body, e.batch) for e in pending] == [
            (each.draft.id, each.draft.document, each.draft.body, each.batch) for each in waiting
        ]
        for key in KEYS:
            mine = [draft.id for draft in expected if draft.document == document(key)]
            assert [e.id for e in self.run(self.journal.pending_for(document(key)))] == mine
            assert self.journal.holds(document(key)) == bool(mine)

    @invariant()
    def it_keeps_its_dead_letters_with_their_reasons(self) -> None:
        letters = {e.id: e.reason for e in self.run(self.journal.dead_letters())}
        assert letters == {kept.draft.id: kept.reason for kept in self.model if kept.reason}

    @invariant()
    def its_status_adds_up(self) -> None:
        status = self.journal.status()
        dead = sum(kept.reason is not None for kept in self.model)
        assert (status.entries, status.dead_letters) == (len(self.model) - dead, dead)
        assert status.bytes == sum(kept.draft.size for kept in self.model)
        assert (status.damaged, status.dead) == (0, None)


JournalMachine.TestCase.settings = settings(
    deadline=None,
    derandomize=not os.environ.get("JOURNAL_SOAK"),
    max_examples=1_000 if os.environ.get("JOURNAL_SOAK") else 25,
    stateful_step_count=25,
)
TestJournal = JournalMachine.TestCase
