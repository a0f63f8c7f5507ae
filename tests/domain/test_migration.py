"""Migration alike on every store, cached and in an outage."""

import pytest

from orchestra_memory import AgentState, DurabilityUnavailable, LocalMemory
from orchestra_memory.transfer.migrate import MigrateOptions, migrate, undo, verify

from ..transfer.legacy_files import CORPUS, dump

pytestmark = pytest.mark.anyio


@pytest.mark.decided
async def test_a_folder_is_migrated_found_again_verified_and_undone(memory, tmp_path):
    await memory.put(AgentState(agent_type="own", agent_id="a", session_id="s"))
    before = await dump(memory)
    report = tmp_path / "report.jsonl"
    done = await migrate(CORPUS, memory, options=MigrateOptions(report=report))
    assert done.migrated > 20
    assert await memory.get(AgentState, "planner_planner-01_release-7") is not None

    again = await migrate(CORPUS, memory)
    assert again.records["unchanged"] == done.migrated
    assert (await verify(CORPUS, memory)).records["verified"] == done.migrated

    assert (await undo(report, memory)).deleted == done.migrated
    assert await memory.get(AgentState, "planner_planner-01_release-7") is None
    assert await dump(memory) == before


@pytest.mark.parametrize("stack", ["degraded"])
async def test_in_an_outage_nothing_is_created_that_may_be_there_already(memory, tmp_path):
    with pytest.raises(DurabilityUnavailable):
        await migrate(CORPUS, memory, options=MigrateOptions(report=tmp_path / "report.jsonl"))
    assert await dump(memory) == await dump(LocalMemory())
