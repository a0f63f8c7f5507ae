"""`python -m tests.journal.soak --kills 200`: kill -9 in mid-append, over and over.

Prints how many acknowledgements were counted and how many of them were found. Fails if any is
missing, there twice, damaged, out of order, or back after it was settled.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
from pathlib import Path

from .killing import Ledger, audit, killed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--audit-every", type=int, default=5, help="kills between two audits")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--directory", help="on the disk to test; a temporary one by default")
    plan = parser.parse_args()
    chance, acknowledged, settled, taken_over = random.Random(plan.seed), 0, 0, 0
    with tempfile.TemporaryDirectory(dir=plan.directory) as directory:
        for begun in range(0, plan.kills, plan.audit_every):
            told = Ledger()
            for _ in range(min(plan.audit_every, plan.kills - begun)):
                told.hear(killed(Path(directory), chance.choice((0, 0.02, 0.1, 0.3))))
            wrong = asyncio.run(audit(Path(directory), told))
            acknowledged += len(told.acknowledged)
            settled += len(told.settled)
            taken_over += told.taken_over
            if wrong:
                print(f"after {begun + plan.audit_every} kills: {', '.join(wrong)}")
                return 1
    print(
        f"{plan.kills} kills, {acknowledged:,} acknowledged, {settled:,} of them settled again, "
        f"{taken_over:,} taken over by processes that were killed in turn: none lost, none twice"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
