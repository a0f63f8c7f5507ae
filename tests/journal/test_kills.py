"""Whatever moment a process is killed at, what it acknowledged is found, once and in order."""

from __future__ import annotations

import pytest

from .killing import Ledger, audit, killed


@pytest.mark.anyio
async def test_every_acknowledged_entry_outlives_killed_processes(tmp_path):
    told = Ledger()
    for lines in (200, 1, 2, 300, 100):
        told.hear(killed(tmp_path, 0, lines_at_least=lines))
    assert len(told.acknowledged) > 300
    assert told.taken_over > 100
    assert len(told.bound) > 50
    assert await audit(tmp_path, told) == []


@pytest.mark.anyio
async def test_the_audit_notices_what_is_lost_or_comes_back_or_is_loose(tmp_path):
    told = Ledger()
    told.hear(killed(tmp_path, 0, lines_at_least=200))
    told.acknowledged.add("never written")
    told.settled |= {*sorted(told.acknowledged - told.settling)[:2]}
    told.bound |= told.acknowledged
    *wrong, loose = await audit(tmp_path, told)
    assert wrong == ["1 lost", "2 came back"]
    assert loose.endswith(" not in their batch")
