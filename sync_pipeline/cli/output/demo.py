"""What to do after a demo: where to look."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from rich.console import Console

from sync_pipeline.remedies import PROGRAM

if TYPE_CHECKING:
    from sync_pipeline.orchestration.launch import RunReport


def hints(console: Console, reports: Mapping[str, RunReport], planted: Collection[str]) -> None:
    """What the counts of a demo mean, and where to look next.

    Args:
        console: where to.
        reports: what came of its runs, by system.
        planted: systems whose bad records are all planted.
    """
    counts = [c for name in planted for c in reports[name].entities.values()]
    rejected, parked = (sum(c[term] for c in counts) for term in ("rejected", "parked"))
    console.print()
    if planted:
        console.print(
            f"The simulated sources hold bad records on purpose: {rejected} were rejected and {parked} parked"
            " with their reasons, as planted; everything else was synced."
        )
    shown = {
        "rejected": "records that could not be merged, and why",
        "conflicts": "fields that both sides changed",
        "history": "the runs so far",
        "up": "the same with the Dagster UI",
    }
    if "desktop_reverse" in reports:
        shown["history --reverse"] = "the runs back into the desktop database"
    console.print("Where to look next, on the tables as they are now:")
    program = PROGRAM if shutil.which(PROGRAM) else os.path.relpath(sys.argv[0])
    width = max(map(len, shown))
    for command, what in shown.items():
        console.print(f"  {program} {command:{width}}  {what}", soft_wrap=True)
