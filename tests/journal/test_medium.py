"""Whether a directory outlives its machine is found out, unless it is said."""

from __future__ import annotations

import pytest

from orchestra_memory.resilience.journal.medium import decide

from .parts import opened

MOUNTS = """\
22 1 254:0 / / rw,relatime - ext4 /dev/vda rw
31 22 0:27 / /dev/shm rw,nosuid shared:5 - tmpfs tmpfs rw,size=65536k
40 22 0:33 / /with\\040space rw - ramfs none rw
"""


@pytest.mark.parametrize(
    ("environment", "device", "medium"),
    [
        ({}, "254:0", "persistent"),
        ({}, "0:27", "ephemeral"),
        ({}, "0:33", "ephemeral"),
        ({}, "9:9", "persistent"),
        ({"K_SERVICE": "agents"}, "254:0", "ephemeral"),
        ({"CLOUD_RUN_JOB": "nightly"}, "254:0", "ephemeral"),
        ({"K_SERVICE": ""}, "254:0", "persistent"),
    ],
)
def test_memory_and_cloud_run_are_ephemeral(environment, device, medium):
    assert decide(environment, device, MOUNTS) == medium


@pytest.mark.anyio
async def test_what_the_operator_says_counts(tmp_path, monkeypatch):
    monkeypatch.setenv("K_SERVICE", "agents")
    async with opened(tmp_path) as journal:
        assert journal.medium == "ephemeral"
    async with opened(tmp_path, medium="persistent") as journal:
        assert journal.medium == "persistent"
